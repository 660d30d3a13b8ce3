"""Loss, scores, schedule and random draws of the learner, each against a formula or another library."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score
from torch import nn
from torch.nn import functional

from mri3d.models.network.learner import Learner, adamw, parameter_groups
from mri3d.outcome.objectives import ClassObjective, MeasureObjective, class_logits
from mri3d.plan import complete
from tests.models.refusals import refused

SHAPE = (4, 5, 6)


def learner(num_outputs=1, *, counts=(24, 8), objective=None, **trainer: object):
    """Give a learner of a linear network, attached to what it asks of a trainer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4 * 5 * 6, num_outputs))
    made = Learner(
        network,
        objective=objective or ClassObjective(np.array(counts)),
        optimizer=partial(adamw, lr=0.02, weight_decay=0.3),
        seed=3,
    )
    made._trainer = SimpleNamespace(**trainer)
    return made


def weights_of(counts):
    """Give the weight of each class: one over its number of rows, 1 where all have the same."""
    return torch.tensor([sum(counts) / len(counts) / count for count in counts])


def batches(num_classes=2, sizes=(4, 4, 3)):
    """Give batches of classes, or of ages where `num_classes` is 0."""
    generator = torch.Generator().manual_seed(1)
    rows = iter(range(100))
    for size in sizes:
        volume = torch.randn(size, 1, *SHAPE, generator=generator)
        ages = 20 + 60 * torch.rand(size, generator=generator, dtype=torch.float64)
        target = torch.randint(num_classes, (size,), generator=generator) if num_classes else ages
        yield {"volume": volume, "target": target, "row": torch.tensor([next(rows) for _ in range(size)])}


def joined(batches):
    return {name: torch.cat([batch[name] for batch in batches]) for name in ("volume", "target")}


def test_one_logit_is_of_the_second_class():
    logits = torch.tensor([[-3.0], [0.0], [5.0]])
    proba = class_logits(logits).softmax(dim=1)
    torch.testing.assert_close(proba[:, 1:], logits.sigmoid())
    torch.testing.assert_close(proba.sum(dim=1), torch.ones(3))


def test_several_logits_are_left_as_they_are():
    logits = torch.randn(3, 4)
    assert torch.equal(class_logits(logits), logits)


@pytest.mark.parametrize(("num_outputs", "counts"), [(1, (24, 8)), (3, (24, 8, 11))])
def test_validation_loss_is_torchs_weighted_loss_over_all_rows(num_outputs, counts):
    fitted = learner(num_outputs, counts=counts)
    parts = list(batches(len(counts)))  # of unequal sizes and mixtures of classes
    for number, batch in enumerate(parts):
        fitted.validation_step(batch, number)
    whole = joined(parts)
    logits = class_logits(fitted(whole["volume"]))
    expected = functional.cross_entropy(logits, whole["target"], weight=weights_of(counts))
    assert fitted.val_loss.compute().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("num_outputs", "num_classes"), [(1, 2), (3, 3)])
def test_validation_scores_are_scikit_learns(num_outputs, num_classes):
    fitted = learner(num_outputs, counts=(10,) * num_classes)
    parts = list(batches(num_classes, sizes=(8, 8, 5)))
    for number, batch in enumerate(parts):
        fitted.validation_step(batch, number)
    whole = joined(parts)
    proba = class_logits(fitted(whole["volume"])).softmax(dim=1).detach()
    auc = roc_auc_score(whole["target"], proba[:, 1] if num_classes == 2 else proba, multi_class="ovr")
    scores = fitted.val_scores.compute()
    assert scores["val_auc"].item() == pytest.approx(auc, abs=1e-6)
    assert scores["val_accuracy"].item() == pytest.approx(
        (proba.argmax(dim=1) == whole["target"]).float().mean().item()
    )


AGES = np.array([25.0, 31.0, 47.0, 58.0, 72.0])
"""Of training rows."""


def measure_learner():
    """Give a learner of ages."""
    scaling = np.array([[AGES.std(), AGES.mean()]])
    return learner(1, objective=MeasureObjective(scaling))


def test_losses_and_scores_of_a_measure_are_those_of_numpy_and_scikit_learn():
    fitted = measure_learner()
    parts = list(batches(0, sizes=(8, 8, 5)))
    told = torch.cat([fitted.validation_step(batch, number) for number, batch in enumerate(parts)])
    whole = joined(parts)
    truth, outputs = whole["target"].numpy(), fitted(whole["volume"]).detach().numpy()[:, 0]
    ages = outputs * AGES.std() + AGES.mean()
    np.testing.assert_allclose(told.detach(), ages, rtol=1e-5)
    losses = (outputs - (truth - AGES.mean()) / AGES.std()) ** 2
    assert fitted.val_loss.compute().item() == pytest.approx(losses.mean(), rel=1e-5)
    scores = fitted.val_scores.compute()
    assert scores["val_mae"].item() == pytest.approx(mean_absolute_error(truth, ages), rel=1e-5)
    assert scores["val_r2"].item() == pytest.approx(r2_score(truth, ages), rel=1e-4)
    loss = fitted.training_step(parts[0], 0)
    assert loss.item() == pytest.approx(losses[:8].mean(), rel=1e-5)
    assert loss.requires_grad
    assert not fitted.train_loss.compute().requires_grad


def test_validation_of_a_measure_is_logged_and_starts_afresh():
    fitted = measure_learner()
    logged = {}
    fitted.log = logged.__setitem__
    fitted.log_dict = logged.update
    for _ in range(2):
        (batch,) = batches(0, sizes=(8,))
        fitted.validation_step(batch, 0)
        fitted.on_validation_epoch_end()
        ages = fitted(batch["volume"]).detach().numpy()[:, 0] * AGES.std() + AGES.mean()
        assert logged["val_mae"].item() == pytest.approx(np.abs(ages - batch["target"].numpy()).mean(), rel=1e-5)
    assert set(logged) == {"val_loss", "val_mae", "val_r2"}


def test_validation_is_logged_and_starts_afresh():
    fitted = learner()
    logged = {}
    fitted.log = logged.__setitem__
    fitted.log_dict = logged.update
    for epoch in range(2):
        (batch,) = batches(sizes=(8,))
        fitted.validation_step(batch, 0)
        fitted.on_validation_epoch_end()
        logits = class_logits(fitted(batch["volume"]))
        losses = functional.cross_entropy(logits, batch["target"], weight=weights_of((24, 8)))
        assert logged["val_loss"].item() == pytest.approx(losses.item(), rel=1e-6), epoch
    assert set(logged) == {"val_loss", "val_auc", "val_accuracy"}


def test_training_loss_is_weighted_and_has_a_gradient():
    fitted = learner()
    (batch,) = batches(sizes=(6,))
    loss = fitted.training_step(batch, 0)
    expected = functional.binary_cross_entropy_with_logits(
        fitted.network(batch["volume"])[:, 0],
        batch["target"].float(),
        weight=weights_of((24, 8))[batch["target"]] / weights_of((24, 8))[batch["target"]].sum(),
        reduction="sum",
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.requires_grad
    assert not fitted.train_loss.compute().requires_grad


def test_one_nan_makes_the_loss_nan():
    fitted = learner()
    for batch in batches():
        batch["volume"][1, 0, 2, 2, 2] = float("nan")
        fitted.training_step(batch, 0)
        fitted.validation_step(batch, 0)
    assert fitted.train_loss.compute().isnan()
    assert fitted.val_loss.compute().isnan()


def test_learning_rate_is_one_cycle_that_peaks_at_the_optimizers():
    made = learner(estimated_stepping_batches=40).configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    assert made["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(40):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if len(rates) < 40:
            schedule.step()
    assert all(len(set(groups)) == 1 for groups in rates)
    rates = [groups[0] for groups in rates]
    peak = rates.index(max(rates))
    assert rates[peak] == pytest.approx(0.02)
    assert 10 <= peak <= 13  # a third up, the rest down
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[0] < 0.02 / 20
    assert rates[-1] < 0.02 / 1000


def test_only_weights_of_several_dimensions_decay():
    fitted = learner(estimated_stepping_batches=3)
    optimizer = fitted.configure_optimizers()["optimizer"]
    decay = {parameter: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    assert decay == {fitted.network[1].weight: 0.3, fitted.network[1].bias: 0.0}


def test_defaults_of_the_optimizer_stand_in_one_place_and_are_written_out():
    text = (Path(__file__).parents[3] / "conf" / "cnn.yaml").read_text()
    option = yaml.safe_load(text)["optimizer"]
    assert set(option) == {"_target_", "_partial_"}
    assert complete(option | {"lr": 0.1}) == option | {"lr": 0.1, "weight_decay": 0.01}
    (group,) = adamw([nn.Parameter(torch.zeros(1))]).param_groups
    assert (group["lr"], group["weight_decay"]) == (0.003, 0.01)


def test_training_without_an_end_is_refused():
    with refused(r"trainer\.max_epochs=-1 has no end", r"^max_epochs=-1 has no end"):
        learner(estimated_stepping_batches=float("inf"), max_epochs=-1).configure_optimizers()


def test_random_draws_follow_from_seed_epoch_and_rank():
    def drawn(*, epoch=0, rank=0, before=0):
        fitted = learner(current_epoch=epoch, global_rank=rank)
        torch.manual_seed(before)
        fitted.on_train_epoch_start()
        return torch.rand(3).tolist()

    assert drawn() == drawn(before=5)
    assert len({tuple(drawn(epoch=epoch, rank=rank)) for epoch in (0, 1) for rank in (0, 1)}) == 4


def test_ranks_judge_a_network_of_averaged_running_statistics():
    def reduce(tensor, *, reduce_op):
        assert reduce_op == "mean"
        return tensor + 0.5  # as if another rank's were greater by one

    fitted = learner(world_size=2, strategy=SimpleNamespace(reduce=reduce))
    fitted.network = nn.Sequential(nn.BatchNorm3d(2))
    fitted.on_validation_start()
    norm = fitted.network[0]
    assert norm.running_mean.tolist() == [0.5, 0.5]
    assert norm.running_var.tolist() == [1.5, 1.5]
    assert norm.num_batches_tracked == 0
    fitted._trainer.world_size = 1
    fitted.on_validation_start()
    assert norm.running_mean.tolist() == [0.5, 0.5]


def test_layers_of_many_inputs_move_more_slowly_and_the_others_as_ever():
    network = nn.Sequential(nn.Conv3d(1, 2, 40), nn.Conv3d(2, 3, 3), nn.Linear(5, 4))
    groups = parameter_groups(network)
    assert [group["scale"] for group in groups] == [1.0, 20_000 / 40**3, 1.0]
    assert groups[0]["params"] == [network[1].weight, network[2].weight]
    assert groups[1]["params"] == [network[0].weight]
    assert groups[2]["params"] == [network[0].bias, network[1].bias, network[2].bias]
    made = Learner(network, objective=ClassObjective(np.array([5, 5])), optimizer=partial(adamw, lr=0.1), seed=0)
    made._trainer = SimpleNamespace(estimated_stepping_batches=10)
    peaks = [group["max_lr"] for group in made.configure_optimizers()["optimizer"].param_groups]
    assert peaks == pytest.approx([0.1, 0.1 * 20_000 / 40**3, 0.1])
