"""An evaluation in a folder goes on where it was cut off, and never on what is not its own."""

import functools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mri3d import Holdout, KFold, Nested, Study, UserError, evaluate, models
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.models.network.learner import Learner
from mri3d.volumes.recipe import Recipe
from tests.studies import class_study, cnn, planted

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module", autouse=True)
def on_one_core(one_core):
    """Fit the networks below on one core."""


@pytest.fixture(scope="module")
def study():
    return class_study()


class CutOffError(Exception):
    """Stands for the machine going down."""


@pytest.fixture
def steps(monkeypatch):
    """Note the seed of the fit of every step of training, which tells the folds apart."""
    seen, training_step = [], Learner.training_step

    def noted(learner, batch, batch_index):
        seen.append(learner.seed)
        return training_step(learner, batch, batch_index)

    monkeypatch.setattr(Learner, "training_step", noted)
    return seen


def test_an_evaluation_that_was_cut_off_goes_on_to_the_same_bits(study, tmp_path, steps, monkeypatch):
    splits, model = KFold(folds=3), cnn(epochs=3, augmentation="default")
    whole = evaluate(study, model, splits, folder=tmp_path / "whole")
    steps.clear()

    def cut_off(learner, optimizer):
        if learner.seed == 1 and learner.current_epoch == 1:
            raise CutOffError

    with monkeypatch.context() as patch, pytest.raises(CutOffError):  # noqa: PT012
        patch.setattr(Learner, "on_before_optimizer_step", cut_off)
        evaluate(study, model, splits, folder=tmp_path / "cut")
    assert set(steps) == {0, 1}
    steps.clear()
    again = evaluate(study, model, splits, folder=str(tmp_path / "cut"))
    assert 0 not in steps, "fold 0 was finished"
    assert steps.count(1) < steps.count(2), "fold 1 had done an epoch"
    np.testing.assert_array_equal(again.predicted, whole.predicted)
    histories = [
        [[{**epoch, "seconds": 0.0} for epoch in fold.fits[0].history] for fold in results.folds]
        for results in (again, whole)
    ]
    assert histories[0] == histories[1]
    assert (tmp_path / "cut/cohort.csv").read_bytes() == (tmp_path / "whole/cohort.csv").read_bytes()
    steps.clear()
    once_more = evaluate(study, model, splits, folder=tmp_path / "cut")
    assert steps == [], "all is done"
    np.testing.assert_array_equal(once_more.predicted, whole.predicted)


def same_ids(*, labels=None, volumes=None):
    given = ["control", "patient"] * 12 if labels is None else labels
    return Study.from_arrays(planted([1.5 * (row % 2) for row in range(24)]) if volumes is None else volumes, given)


BEGUN = {"study": same_ids(), "model": cnn(epochs=1), "splits": KFold(folds=2), "seed": 0}


@pytest.fixture(scope="module")
def begun(tmp_path_factory, on_one_core):
    """Make a folder of an evaluation, which the refusal of another leaves as it is."""
    folder = tmp_path_factory.mktemp("begun")
    evaluate(**BEGUN, folder=folder)
    return folder


def with_trainer(**options: object):
    """Build the network below with other options of its trainer."""
    model = cnn(epochs=1)
    return replace(model, trainer=functools.partial(model.trainer, **options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"study": same_ids(labels=["control", "patient"] * 11 + ["patient", "control"])},
            r"the cohort is not the one",
        ),
        ({"study": same_ids(volumes=planted([0, 1.5] * 12, seed=8))}, r"its cohort\.csv has other digests of scans, w"),
        ({"splits": KFold(folds=3)}, r"is of an evaluation with another splits, whose checkpoints would be taken"),
        ({"splits": KFold(folds=2, validation=0.3)}, r"is of an evaluation with another splits"),
        ({"seed": 1}, r"is of an evaluation with another seed"),
        ({"model": cnn(epochs=1, lr=0.5)}, r"is of an evaluation with another model"),
        (
            {"model": cnn(epochs=1, augmentation="strong"), "seed": 3},
            r"another model and seed.*a folder of its own",
        ),
        ({"model": RIDGE}, r"is of an evaluation with another model"),
        ({"model": cnn(epochs=1, batch_size=3)}, r"is of an evaluation with another model"),
        ({"model": with_trainer(precision="bf16-mixed")}, r"is of an evaluation with another model"),
        ({"model": with_trainer(accumulate_grad_batches=2)}, r"is of an evaluation with another model"),
    ],
)
def test_a_folder_of_something_else_is_refused(begun, change, message):
    with pytest.raises(UserError, match=message):
        evaluate(**BEGUN | change, folder=begun)


def test_an_evaluation_of_an_earlier_version_goes_on_by_its_recipe(study, tmp_path, monkeypatch):
    monkeypatch.setattr(study.volumes, "recipe", Recipe("native", shape=study.volumes.shape[1:], version=1))
    evaluate(study, RIDGE, KFold(folds=2), folder=tmp_path)
    shape = ", ".join(map(str, study.volumes.shape[1:]))
    written = json.loads((tmp_path / "evaluation.json").read_bytes())["recipe"]
    assert written == (  # what mri3d 0.2 wrote
        "Recipe(resolution='native', orientation='ras', crop='head', resize='pad', intensity='zscore', "
        f"shape=({shape}), spacing_mm=None)"
    )
    evaluate(study, RIDGE, KFold(folds=2), folder=tmp_path)
    study.volumes.recipe = replace(study.volumes.recipe, version=2)
    with pytest.raises(UserError, match=r"with another recipe, .* up to 0\.2 began goes on with version=1 of its reci"):
        evaluate(study, RIDGE, KFold(folds=2), folder=tmp_path)


def test_more_epochs_go_on_in_the_same_folder(study, tmp_path, steps):
    evaluate(study, cnn(epochs=1), Holdout(), folder=tmp_path)
    first = len(steps)
    evaluate(study, cnn(epochs=3), Holdout(), folder=tmp_path)
    assert len(steps) == 3 * first


GRID = {"batch_size": [4]}


@pytest.fixture(scope="module", params=[Holdout(), Nested(folds=2, grid=GRID, inner_folds=2)], ids=["alone", "grid"])
def one_epoch(request, tmp_path_factory, on_one_core):
    """Evaluate one epoch; give the splits and the folder."""
    folder = tmp_path_factory.mktemp("one_epoch")
    evaluate(class_study(16), cnn(epochs=1), request.param, folder=folder)
    return request.param, folder


@pytest.mark.parametrize(
    "longer",
    [
        with_trainer(max_epochs=2),
        with_trainer(max_epochs=2, min_epochs=2),
        replace(cnn(epochs=1), num_workers=1),
        with_trainer(log_every_n_steps=7, enable_progress_bar=False, accelerator="auto"),
    ],
    ids=["epochs", "least", "workers", "shown"],
)
def test_whatever_the_model_the_same_may_change_in_a_folder(tmp_path, one_epoch, longer):
    splits, begun = one_epoch
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    again = evaluate(class_study(16), longer, splits, folder=tmp_path)
    assert len(again.predictions) == sum(len(fold.fold.test_rows) for fold in again.folds) > 0


@pytest.mark.parametrize("given", [None, GRID], ids=["alone", "grid"])
def test_models_that_learn_the_same_vote_together(study, tmp_path, given):
    splits = Nested(folds=2, grid=given, inner_folds=2) if given else KFold(folds=2)

    def run(model):
        return CrossValidation.of(study, model, splits, seed=0, folder=tmp_path).digest

    plain = run(cnn(epochs=1))
    assert run(cnn(epochs=1, num_workers=2)) == plain
    assert run(with_trainer(enable_progress_bar=False)) == plain
    for other in (cnn(epochs=2), cnn(epochs=1, lr=0.5), with_trainer(precision="bf16-mixed")):
        assert run(other) != plain


def test_a_folder_of_another_recipe_is_refused(study, tmp_path):
    evaluate(study, RIDGE, KFold(folds=2), folder=tmp_path)
    noted = json.loads((tmp_path / "evaluation.json").read_text())
    (tmp_path / "evaluation.json").write_text(json.dumps(noted | {"recipe": "Recipe(resolution=60)"}))
    with pytest.raises(UserError, match="is of an evaluation with another recipe, whose checkpoints"):
        evaluate(study, RIDGE, KFold(folds=2), folder=tmp_path)
