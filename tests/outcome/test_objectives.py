"""What networks are trained for, against torch's own losses and numpy."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score
from torch.nn import functional

from mri3d.outcome import Classes, Measure
from mri3d.outcome.objectives import ClassObjective, class_logits

AGES = np.array([25.0, 31.0, 47.0, 58.0, 72.0])
SCALING = Measure("age").scaling(AGES)


def outputs(num_rows, num_outputs, seed=0):
    return torch.randn(num_rows, num_outputs, generator=torch.Generator().manual_seed(seed), requires_grad=True)


@pytest.mark.parametrize(("names", "counts"), [("ab", (24, 8)), ("abc", (9, 3, 12))])
def test_class_weights_and_loss_are_torchs(names, counts):
    targets = np.repeat(np.arange(len(counts)), counts)
    objective = Classes(tuple(names)).objective(targets, None)
    weights = torch.tensor(sum(counts) / (len(counts) * np.array(counts)), dtype=torch.float32)
    assert torch.equal(objective.class_weights, weights)
    assert_allclose(weights @ torch.tensor(counts, dtype=torch.float32), sum(counts))  # on average they are 1
    rows = torch.tensor(targets[:: len(counts)])
    found = outputs(len(rows), Classes(tuple(names)).num_outputs)
    logits = class_logits(found)
    expected = functional.cross_entropy(logits, rows, weight=weights)
    assert torch.equal(objective.loss(found, rows), expected)
    losses, row_weights = objective.losses(found, rows)
    assert_allclose(losses.detach(), functional.cross_entropy(logits, rows, reduction="none").detach())
    assert torch.equal(row_weights, weights[rows])
    assert ((losses * row_weights).sum() / row_weights.sum()).item() == pytest.approx(expected.item(), rel=1e-6)


def test_two_classes_have_the_binary_loss():
    found, rows = outputs(6, 1), torch.tensor([0, 1, 1, 0, 1, 1])
    expected = functional.binary_cross_entropy_with_logits(found[:, 0], rows.float())
    assert ClassObjective(np.array([3, 3])).loss(found, rows).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("counts", [(5, 5), (24, 8, 2)])
def test_guessing_costs_what_equal_probabilities_cost(counts):
    objective = ClassObjective(np.array(counts))
    rows = torch.arange(len(counts))
    flat = torch.zeros(len(counts), 1 if len(counts) == 2 else len(counts))
    assert objective.guessing(np.array([0, 1])) == pytest.approx(math.log(len(counts)))
    assert objective.guessing(np.array([0, 1])) == pytest.approx(objective.loss(flat, rows).item(), rel=1e-6)


def test_weights_go_to_the_device_with_the_network_but_into_no_checkpoint():
    objective = ClassObjective(np.array([3, 1]))
    assert dict(objective.named_buffers()).keys() == {"class_weights"}
    assert objective.state_dict() == {}
    assert list(objective.parameters()) == []


@pytest.mark.parametrize(("names", "num_outputs"), [("ab", 1), ("abc", 3)])
def test_predictions_of_classes_are_probabilities_as_those_of_the_outcome(names, num_outputs):
    outcome, found = Classes(tuple(names)), outputs(7, num_outputs).detach()
    proba = outcome.objective(np.arange(len(names)), None).predictions(found)
    assert_allclose(proba, outcome.activate(found.numpy().astype(np.float64), None), atol=1e-6)
    assert_allclose(proba.sum(dim=1), 1, rtol=1e-6)


def test_loss_of_a_measure_is_the_squared_error_in_standard_deviations():
    objective = Measure("age").objective(AGES, SCALING)
    found, truth = outputs(4, 1), torch.tensor([22.0, 40.5, 55.0, 80.0], dtype=torch.float64)
    expected = (found.detach().numpy()[:, 0] - (truth.numpy() - AGES.mean()) / AGES.std()) ** 2
    losses, weights = objective.losses(found, truth)
    assert_allclose(losses.detach(), expected, rtol=1e-5)
    assert torch.equal(weights, torch.ones(4))
    assert objective.loss(found, truth).item() == pytest.approx(expected.mean(), rel=1e-5)
    objective.loss(found, truth).backward()
    gradient = 2 * (found.detach().numpy()[:, 0] - (truth.numpy() - AGES.mean()) / AGES.std()) / 4
    assert_allclose(found.grad[:, 0], gradient, rtol=1e-5, atol=1e-7)


def test_predictions_of_a_measure_are_in_its_unit_and_guessing_is_their_mean():
    objective, found = Measure("age").objective(AGES, SCALING), outputs(7, 1).detach()
    assert_allclose(objective.predictions(found), found[:, 0] * AGES.std() + AGES.mean(), rtol=1e-6)
    assert objective.guessing(AGES) == pytest.approx(1.0)
    for ages in (AGES, np.array([20.0, 85.0]), np.array([50.0])):  # of others it may cost more, or less
        guessed = objective.loss(torch.zeros(len(ages), 1), torch.tensor(ages)).item()
        assert objective.guessing(ages) == pytest.approx(guessed, rel=1e-6)
    assert list(objective.state_dict()) == list(objective.parameters()) == []


def test_scores_to_watch_are_scikit_learns():
    ages = np.random.default_rng(0).uniform(20, 80, 20)
    predictions = ages + np.random.default_rng(1).normal(0, 5, 20)
    scores = Measure("age").objective(AGES, SCALING).scores()
    scores.update(torch.tensor(predictions), torch.tensor(ages))
    found = {name: value.item() for name, value in scores.compute().items()}
    expected = {"val_mae": mean_absolute_error(ages, predictions), "val_r2": r2_score(ages, predictions)}
    assert found == pytest.approx(expected, rel=1e-5)

    targets = np.arange(20) % 3
    proba = torch.softmax(outputs(20, 3).detach() + torch.eye(3)[targets], dim=1)
    scores = Classes(("a", "b", "c")).objective(targets, None).scores()
    scores.update(proba, torch.tensor(targets))
    found = {name: value.item() for name, value in scores.compute().items()}
    accuracy = float((proba.argmax(dim=1).numpy() == targets).mean())
    expected = {"val_auc": roc_auc_score(targets, proba, multi_class="ovr"), "val_accuracy": accuracy}
    assert found == pytest.approx(expected, rel=1e-5)


def test_one_logit_is_of_the_second_class_and_several_are_left_alone():
    logits = torch.tensor([[-3.0], [0.0], [5.0]])
    torch.testing.assert_close(class_logits(logits).softmax(dim=1)[:, 1:], logits.sigmoid())
    several = torch.randn(3, 4)
    assert class_logits(several) is several


def test_one_validation_row_has_an_error_and_no_explained_variance():
    scores = Measure("age").objective(AGES, SCALING).scores()
    scores.update(torch.tensor([50.0]), torch.tensor([45.0]))
    found = {name: value.item() for name, value in scores.compute().items()}
    assert found["val_mae"] == pytest.approx(5.0)
    assert math.isnan(found["val_r2"])
