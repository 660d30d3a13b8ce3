"""Loss, scores, schedule and random draws of the learner, each against a formula or another library."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from mri3d.errors import UserError
from mri3d.models.network.learner import Learner, adamw, class_logits, parameter_groups
from mri3d.plan import complete

SHAPE = (4, 5, 6)


def learner(num_outputs=1, *, weights=(0.6, 1.9), **trainer: object):
    """Give a learner of a linear network, attached to what it asks of a trainer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4 * 5 * 6, num_outputs))
    made = Learner(
        network, class_weights=torch.tensor(weights), optimizer=partial(adamw, lr=0.02, weight_decay=0.3), seed=3
    )
    made._trainer = SimpleNamespace(**trainer)
    return made


def batches(num_classes=2, sizes=(4, 4, 3)):
    generator = torch.Generator().manual_seed(1)
    rows = iter(range(100))
    for size in sizes:
        volume = torch.randn(size, 1, *SHAPE, generator=generator)
        target = torch.randint(num_classes, (size,), generator=generator)
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


@pytest.mark.parametrize(("num_outputs", "weights"), [(1, (0.6, 1.9)), (3, (0.6, 1.9, 1.1))])
def test_validation_loss_is_torchs_weighted_loss_over_all_rows(num_outputs, weights):
    fitted = learner(num_outputs, weights=weights)
    parts = list(batches(len(weights)))  # of unequal sizes and mixtures of classes
    for number, batch in enumerate(parts):
        fitted.validation_step(batch, number)
    whole = joined(parts)
    expected = functional.cross_entropy(fitted(whole["volume"]), whole["target"], weight=torch.tensor(weights))
    assert fitted.val_loss.compute().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("num_outputs", "num_classes"), [(1, 2), (3, 3)])
def test_validation_scores_are_scikit_learns(num_outputs, num_classes):
    fitted = learner(num_outputs, weights=(1.0,) * num_classes)
    parts = list(batches(num_classes, sizes=(8, 8, 5)))
    for number, batch in enumerate(parts):
        fitted.validation_step(batch, number)
    whole = joined(parts)
    proba = fitted(whole["volume"]).softmax(dim=1).detach()
    auc = roc_auc_score(whole["target"], proba[:, 1] if num_classes == 2 else proba, multi_class="ovr")
    scores = fitted.val_scores.compute()
    assert scores["val_auc"].item() == pytest.approx(auc, abs=1e-6)
    assert scores["val_accuracy"].item() == pytest.approx(
        (proba.argmax(dim=1) == whole["target"]).float().mean().item()
    )


def test_validation_is_logged_and_starts_afresh():
    fitted = learner()
    logged = {}
    fitted.log = logged.__setitem__
    fitted.log_dict = logged.update
    for epoch in range(2):
        (batch,) = batches(sizes=(8,))
        fitted.validation_step(batch, 0)
        fitted.on_validation_epoch_end()
        losses = functional.cross_entropy(fitted(batch["volume"]), batch["target"], weight=fitted.class_weights)
        assert logged["val_loss"].item() == pytest.approx(losses.item(), rel=1e-6), epoch
    assert set(logged) == {"val_loss", "val_auc", "val_accuracy"}


def test_training_loss_is_weighted_and_has_a_gradient():
    fitted = learner()
    (batch,) = batches(sizes=(6,))
    loss = fitted.training_step(batch, 0)
    expected = functional.binary_cross_entropy_with_logits(
        fitted.network(batch["volume"])[:, 0],
        batch["target"].float(),
        weight=fitted.class_weights[batch["target"]] / fitted.class_weights[batch["target"]].sum(),
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
    with pytest.raises(UserError, match=r"trainer\.max_epochs=-1 has no end"):
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
    made = Learner(network, class_weights=torch.ones(2), optimizer=partial(adamw, lr=0.1), seed=0)
    made._trainer = SimpleNamespace(estimated_stepping_batches=10)
    peaks = [group["max_lr"] for group in made.configure_optimizers()["optimizer"].param_groups]
    assert peaks == pytest.approx([0.1, 0.1 * 20_000 / 40**3, 0.1])
