"""The library's front door: judge a model on a study, fit one on all of it, compare results."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from mri3d.arguments import checked
from mri3d.errors import UserError
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.results import Results
from mri3d.evaluation.splits import All, KFold, Splits, splits_text
from mri3d.files import check_folder
from mri3d.models.model import Model
from mri3d.models.network.devices import devices_together
from mri3d.models.trained import TrainedModel
from mri3d.processes import is_first
from mri3d.run_folder import claim, claim_evaluation
from mri3d.study import Study
from mri3d.texts import list_text, number_text


@checked
def evaluate(
    study: Study, model: Model, splits: Splits | None = None, *, seed: int = 0, folder: str | Path | None = None
) -> Results:
    """Judge a model on rows that it did not learn from.

    Args:
        study: Who takes part.
        model: What to fit; it is copied for each fold and never fitted itself.
        splits: How to split the study; five folds unless given.
        seed: Everything random follows from it.
        folder: Where checkpoints and logs go, and where an evaluation that was cut off goes on from, with more epochs
            too; without, nothing is left on disk.

    Returns:
        Predictions and scores of the tested rows, and the folds' fitted models.

    Raises:
        UserError: The study cannot be split so, the model cannot learn from it, or `folder` is of another study,
            recipe, model, seed or way to split: it would go on from checkpoints that are not its own.

    >>> import numpy as np
    >>> from mri3d import KFold, Study, models
    >>> volumes = np.random.default_rng(0).random((20, 7, 8, 9))
    >>> volumes[1::2, 2:4, 2:4, 2:4] += 1
    >>> study = Study.from_arrays(volumes, labels=["control", "patient"] * 10)
    >>> results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=2))
    >>> results.scores["auc"].value
    1.0
    >>> list(results.predictions.columns)
    ['subject', 'fold', 'split', 'label', 'prediction', 'p_control', 'p_patient']
    """
    chosen = KFold() if splits is None else splits
    with _working_folder(folder) as place, devices_together():
        validation = CrossValidation.of(study, model, chosen, seed=seed, folder=place)
        study.volumes.fill()
        if is_first():
            cohort = study.cohort_with_outliers
            if folder is not None:
                resumed = (place / "cohort.csv").exists()
                settings = {
                    "model": validation.model.identity(length=False),  # more epochs may be wanted by now
                    "splits": splits_text(chosen),
                    "seed": seed,
                    "outcome": study.outcome.to_json(),
                    "recipe": repr(study.recipe).replace(", version=1)", ")"),  # as mri3d up to 0.2 wrote it
                }
                claim_evaluation(place, settings, resumed=resumed)
                claim(place, cohort, validation.folds, None, resumed=resumed)
        return validation.run()


@checked
def fit(
    study: Study,
    model: Model,
    *,
    seed: int = 0,
    validation: float = 0.2,
    folder: str | Path | None = None,
) -> TrainedModel:
    """Fit a model on all rows of a study: the final model, of which no score says how good it is.

    Args:
        study: Who takes part.
        model: What to fit; it is copied and never fitted itself.
        seed: Everything random follows from it.
        validation: Share of the rows that only steers training (early stopping).
        folder: As for `evaluate`.

    Returns:
        The model, which predicts, explains and can be saved.

    Raises:
        UserError: The model cannot learn from the study.

    >>> import numpy as np
    >>> from mri3d import Study, models
    >>> study = Study.from_arrays(np.random.default_rng(0).random((12, 7, 8, 9)), labels=["a", "b"] * 6)
    >>> fit(study, models.KNN(k=3, num_components=0.9, inner_folds=2)).outcome.names
    ('a', 'b')
    """
    return evaluate(study, model, All(validation=validation), seed=seed, folder=folder).model


@checked
def compare(first: Results, second: Results) -> pd.DataFrame:
    """Hold two results against each other where the same rows were tested in the same folds.

    Args:
        first: Of one model.
        second: Of another, on the same study and splits.

    Returns:
        A row for each score that either has: `first`, `second` and `difference`, second less first, over all tests;
        `mean_difference` and `sd_difference` over the folds. NaN stands for what is not defined, and for what one of
        them has not: only corrected predictions have scores before correction, `<score>_raw`.

    Raises:
        UserError: Nothing was tested, other sessions were tested, in other folds, or something else was predicted of
            them.

    >>> import numpy as np
    >>> from mri3d import KFold, Study, evaluate, models
    >>> study = Study.from_arrays(np.random.default_rng(0).random((12, 7, 8, 9)), labels=["a", "b"] * 6)
    >>> results = evaluate(study, models.KNN(k=3, num_components=0.9, inner_folds=2), KFold(folds=2))
    >>> float(compare(results, results).loc["auc", "difference"])
    0.0
    """
    if first.study.outcome != second.study.outcome:
        raise UserError("the results are of different outcomes, and their scores cannot be compared.")
    if untested := [name for name, one in (("first", first), ("second", second)) if not len(one.rows)]:
        raise UserError(
            f"no session was tested in {' and '.join(untested)}: All trains on every session, and leaves no scores to "
            "compare. Evaluate both models with a test, as by KFold()."
        )
    tests = [
        dict(zip(zip(one.predictions["subject"], one.predictions["fold"], strict=True), one.targets, strict=True))
        for one in (first, second)
    ]
    if alone := sorted(set(tests[0]) ^ set(tests[1])):
        told = list_text([f"{subject} (fold {fold})" for subject, fold in alone], ", ", most=3)
        raise UserError(
            f"the results are not of the same tests: {len(alone)} are in one of them only ({told}). Evaluate both "
            "models on one study with the same splits and seed."
        )
    if other := sorted({subject for subject, fold in tests[0] if tests[0][subject, fold] != tests[1][subject, fold]}):
        raise UserError(
            f"the results are not of the same labels: {number_text(len(other), 'session', 'has', 'have')} another "
            f"({list_text(other, ', ')}). "
            "Evaluate both models on one study."
        )
    rows, pairs = {}, list(zip(first.folds, second.folds, strict=True))
    for name in dict.fromkeys([*first.scores, *second.scores]):
        values = [results.scores[name].value if name in results.scores else None for results in (first, second)]
        folds = pd.Series([_difference(a.scores.get(name), b.scores.get(name)) for a, b in pairs], dtype=float)
        rows[name] = [*values, _difference(*values), folds.mean(), folds.std()]
    columns = ["first", "second", "difference", "mean_difference", "sd_difference"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


@contextmanager
def _working_folder(folder: str | Path | None) -> Iterator[Path]:
    """Use a folder of the user's, or one that is gone afterwards."""
    if folder is not None:
        check_folder(Path(folder), "folder")
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="mri3d-") as temporary:
        yield Path(temporary)
