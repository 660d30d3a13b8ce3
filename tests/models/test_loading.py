"""What a trained model saves comes back, and nothing else with it."""

import functools
import json
import shutil

import numpy as np
import pytest
import torch

from mri3d import KFold, Study, UserError, evaluate, fit, load, models
from mri3d.files import digest_json
from mri3d.model_folder import CARD, SEAL, write_model
from mri3d.models import loading
from tests.studies import REGION, age_study, class_study, cnn, planted

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)
SVM = models.LinearSVM(C=1.0, num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module", autouse=True)
def on_one_core(one_core):
    """Fit the networks below on one core."""


@pytest.fixture(scope="module")
def study():
    return class_study()


@pytest.fixture(scope="module")
def ages():
    return age_study()


@pytest.fixture(scope="module")
def linear(study):
    return evaluate(study, SVM, KFold(folds=3), seed=1)


@pytest.fixture(scope="module")
def network(study):
    return evaluate(study, cnn(epochs=3), KFold(folds=3), seed=1)


@pytest.mark.parametrize("which", ["linear", "network"])
def test_several_members_come_back_as_they_were(which, request, study, tmp_path):
    model = request.getfixturevalue(which).model
    model.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["fold_0", "fold_1", "fold_2"]
    again = load(tmp_path / "model")
    new = planted([0, 1, 2], seed=5)
    np.testing.assert_array_equal(again.predict_arrays(new), model.predict_arrays(new))
    np.testing.assert_array_equal(again.explain_arrays(new), model.explain_arrays(new))
    assert again.outcome == study.outcome
    assert (again.recipe, again.suffix, again.heatmaps) == (None, None, model.heatmaps)
    (one,) = load(tmp_path / "model/fold_1").members
    np.testing.assert_array_equal(
        one.model.predict(study.volumes, np.arange(24)), model.members[1].model.predict(study.volumes, np.arange(24))
    )
    model.save(tmp_path / "model")  # again, in its own place
    load(tmp_path / "model/fold_1").save(tmp_path / "one")
    assert (tmp_path / "one" / CARD).read_bytes() == (tmp_path / "model/fold_1" / CARD).read_bytes()
    assert len(load(tmp_path / "one").members) == 1


def test_measures_come_back_with_their_line(ages, tmp_path):
    made = models.LinearSVM(num_components=0.9, C=10.0, inner_folds=3, debias=True)
    model = fit(ages, made)
    model.save(tmp_path)
    again = load(tmp_path)
    assert again.members[0].model.line == model.members[0].model.line
    assert again.members[0].model.line is not None
    new = planted([-2.0, 0.0, 2.0], seed=5)
    np.testing.assert_array_equal(again.predict_arrays(new), model.predict_arrays(new))
    assert np.all(np.diff(again.predict_arrays(new)) > 0)


def test_models_are_not_mixed_in_a_folder(study, linear, tmp_path):
    linear.model.save(tmp_path / "folds")
    two, one = evaluate(study, RIDGE, KFold(folds=2)).model, fit(study, RIDGE)
    one.save(tmp_path / "one")
    for model, place in ((two, "folds"), (one, "folds"), (two, "one")):
        with pytest.raises(
            UserError, match=rf"{place} holds another model .*Remove it, or save to a folder of its own"
        ):
            model.save(tmp_path / place)
    assert len(load(tmp_path / "folds").members) == 3
    one.save(tmp_path / "one")  # in its own place


def test_part_of_a_run_does_not_vote(linear, tmp_path):
    linear.model.save(tmp_path / "model")
    for left in (2, 1):
        (tmp_path / f"model/fold_{left}" / CARD).unlink()
        with pytest.raises(
            UserError, match=rf"holds the models of {left} of its 3 folds\. .* or name one fold's folder"
        ):
            load(tmp_path)
    assert len(load(tmp_path / "model/fold_0").members) == 1


def test_one_fold_does_not_vote_twice(linear, tmp_path):
    linear.model.save(tmp_path)
    shutil.rmtree(tmp_path / "fold_2")
    shutil.copytree(tmp_path / "fold_0", tmp_path / "fold_2")
    with pytest.raises(UserError, match="holds the model of one fold more than once"):
        load(tmp_path)


def test_models_of_different_outcomes_do_not_vote(study, linear, tmp_path):
    linear.model.save(tmp_path)
    labels = ["healthy", "patient"] * 12
    other = evaluate(Study.from_arrays(study.volumes.volumes, labels), RIDGE, KFold(folds=3)).model
    write_model(tmp_path / "fold_2", other.members[2].model.contents(other.members[2].card))
    with pytest.raises(UserError, match="differ in outcome or preprocessing: they are not of one run"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "model", "splits", "seed"),
    [
        ({}, RIDGE, KFold(folds=3), 1),
        ({}, models.LinearSVM(C=2.0, num_components=0.9, inner_folds=2), KFold(folds=3), 1),
        ({}, SVM, KFold(folds=3), 2),
        ({}, SVM, KFold(folds=3, validation=0.4), 1),
        ({"seed": 3}, SVM, KFold(folds=3), 1),
    ],
    ids=["kind", "setting", "seed", "splits", "volumes"],
)
def test_folds_of_different_runs_do_not_vote_though_they_fit(linear, tmp_path, options, model, splits, seed):
    linear.model.save(tmp_path)
    other = evaluate(class_study(**options), model, splits, seed=seed).model
    shutil.rmtree(tmp_path / "fold_2")
    write_model(tmp_path / "fold_2", other.members[2].model.contents(other.members[2].card))
    with pytest.raises(UserError, match=r"are of 2 different runs, and would be taken for the folds of one\. Copy the"):
        load(tmp_path)
    assert len(load(tmp_path / "fold_2").members) == 1


def test_folds_of_the_same_run_made_twice_vote(linear, tmp_path):
    linear.model.save(tmp_path)
    again = evaluate(class_study(), SVM, KFold(folds=3), seed=1).model
    write_model(tmp_path / "fold_2", again.members[2].model.contents(again.members[2].card))
    assert len(load(tmp_path).members) == 3


def test_folds_that_name_no_run_still_vote(linear, tmp_path):
    """Those of earlier versions; beside some that name their run, they are of another."""
    linear.model.save(tmp_path)
    for number in range(3):
        card = json.loads((tmp_path / f"fold_{number}" / CARD).read_text())
        del card["run"], card[SEAL]
        (tmp_path / f"fold_{number}" / CARD).write_text(json.dumps(card | {SEAL: digest_json(card)}))
        if number < 2:
            with pytest.raises(UserError, match="are of 2 different runs"):
                load(tmp_path)
    assert {member.card.run for member in load(tmp_path).members} == {""}


class OwnNet(torch.nn.Module):
    """A network of a user's own: the mean of the region."""

    def __init__(self, volume_shape, num_outputs, width=1) -> None:
        super().__init__()
        self.head = torch.nn.Linear(1, num_outputs)

    def forward(self, volume):
        """Return outputs [B, D]."""
        return self.head(volume[(slice(None), slice(None), *REGION)].mean(dim=(2, 3, 4)))


def test_a_network_of_ones_own_loads_only_where_it_is_trusted(study, tmp_path):
    model = cnn(epochs=2)
    model.network = functools.partial(OwnNet, width=2)
    trained = fit(study, model)
    trained.save(tmp_path)
    name = f"{__name__}.OwnNet"
    with pytest.raises(UserError, match=rf"network '{name}' is code of its own.*Give trust='{name}' if you trust it"):
        load(tmp_path)
    new = planted([0, 2], seed=5)
    for trust in (name, [name]):
        np.testing.assert_array_equal(load(tmp_path, trust=trust).predict_arrays(new), trained.predict_arrays(new))
    ways = ("integrated_gradients", "smoothgrad", "occlusion", "region_occlusion")
    assert load(tmp_path, trust=name).heatmaps == ways


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no model"):
        load(tmp_path)


def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch):
    fit(class_study(), models.KNN(k=3, num_components=0.9, inner_folds=2)).save(tmp_path / "model")
    lack = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    def fails(member):
        raise lack

    monkeypatch.setattr(loading, "_check_prediction", fails)
    with pytest.raises(RuntimeError) as found:
        load(tmp_path / "model")
    assert found.value is lack
