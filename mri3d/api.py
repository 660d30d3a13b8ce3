"""The library's front door: judge a model on a study, fit one on all of it, validate it on others, compare results."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from mri3d.arguments import checked
from mri3d.evaluation.comparison import JudgedModel, compare_pairs
from mri3d.evaluation.crossvalidation import CrossValidation
from mri3d.evaluation.external_results import Validation
from mri3d.evaluation.judging import judge
from mri3d.evaluation.results import Results
from mri3d.evaluation.splits import All, KFold
from mri3d.evaluation.splitting import Splits, splits_text
from mri3d.external import check_out, validate_model, write_validation
from mri3d.files import check_folder
from mri3d.models.model import Model
from mri3d.models.network.devices import devices_together
from mri3d.models.trained import TrainedModel
from mri3d.processes import first_speaks, is_first
from mri3d.run_folder import claim, claim_evaluation
from mri3d.study import Study


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
        with first_speaks():
            _ = validation.leaks  # told before anything is trained
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
        return judge(validation)


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
def validate(
    model: TrainedModel,
    study: Study,
    *,
    prevalence: float | Mapping[str | int, float] | None = None,
    threshold: float | str | Mapping[str, float] | None = None,
    allow_seen: bool = False,
    out: str | Path | None = None,
) -> Validation:
    """Find out how good a finished model is on people whom it never saw; the model stays as it is.

    Args:
        model: The model.
        study: People who are labelled with what the model predicts. Their scans become volumes by the model's recipe,
            whatever the study's is.
        prevalence: How frequent the second of two classes is where the model is to be used, or each class by its name,
            for predictive values; as frequent as in the study unless given. Probabilities stay as they are.
        threshold: What class is predicted, as in `TrainedModel.predict`.
        allow_seen: Leave sessions out of the scores whose scans, or near-copies of them, the model was trained on,
            instead of refusing them.
        out: Folder for predictions.csv, metrics.json and report.html; without, nothing is written.

    Returns:
        Predictions, and scores with intervals about this model on people like these.

    Raises:
        UserError: The labels are not what the model predicts, it has seen some of the scans, an option cannot be used
            with it, or a file in `out` would be replaced.

    >>> import numpy as np
    >>> from mri3d import Study, fit, models
    >>> volumes = np.random.default_rng(0).random((40, 7, 8, 9))
    >>> volumes[1::2, 2:4, 2:4, 2:4] += 1
    >>> here, there = (Study.from_arrays(half, ["control", "patient"] * 10) for half in (volumes[:20], volumes[20:]))
    >>> validation = validate(fit(here, models.Ridge(num_components=0.9, inner_folds=2)), there)
    >>> validation.scores["auc"].value, list(validation.predictions)[:5]
    (1.0, ['subject', 'label', 'prediction', 'p_control', 'p_patient'])
    """
    began, folder = time.perf_counter(), None if out is None else Path(out)
    if folder is not None:
        check_folder(folder, "out")
        check_out(folder)
    validation = validate_model(model, study, prevalence=prevalence, threshold=threshold, allow_seen=allow_seen)
    if folder is not None:
        write_validation(validation, folder, model=repr(validation.model).strip("<>"), began=began)
    return validation


@checked
def compare(first: Results, second: Results, *others: Results) -> pd.DataFrame:
    """Hold results against each other where the same rows were tested in the same folds.

    Args:
        first: Of one model.
        second: Of another, on the same study and splits.
        others: Of further models.

    Returns:
        A row for each score that either of two has: `first`, `second` and `difference`, second less first, with its 95
        % interval `low` to `high` and `p`, that the true scores are equal: of the AUC by DeLong's test within folds, of
        the others by resampling groups, both widened because folds share training rows. `p_folds` is by the corrected
        t-test over folds, `mean_difference` and `sd_difference` are over the folds. NaN stands for what is not defined,
        and for what one of them has not: only corrected predictions have scores before correction, `<score>_raw`. The
        primary p is that of the first score of `Outcome.compared`: `auc`, or `mae`. Of three and more results every two
        are compared: their numbers, from 1, and the score are the index, and `p_holm` is the primary p adjusted for the
        number of pairs (Holm 1979).

    Raises:
        UserError: Nothing was tested, other sessions were tested, in other folds, or something else was predicted of
            them.

    >>> import numpy as np
    >>> from mri3d import KFold, Study, evaluate, models
    >>> study = Study.from_arrays(np.random.default_rng(0).random((12, 7, 8, 9)), labels=["a", "b"] * 6)
    >>> results = evaluate(study, models.KNN(k=3, num_components=0.9, inner_folds=2), KFold(folds=2))
    >>> compare(results, results).loc["auc", ["difference", "p"]].tolist()
    [0.0, 1.0]
    """
    names = ["first", "second"] if not others else [str(number) for number in range(1, len(others) + 3)]
    given = dict(zip(names, (first, second, *others), strict=True))
    pairs = compare_pairs({name: JudgedModel.of(results) for name, results in given.items()})
    tables = [pair.table() for pair in pairs]
    if not others:
        return tables[0]
    for pair, table in zip(pairs, tables, strict=True):
        table["p_holm"] = float("nan")
        table.loc[pair.comparison.primary, "p_holm"] = pair.p_holm
    return pd.concat(tables, keys=[(pair.first, pair.second) for pair in pairs], names=["first", "second", "score"])


@contextmanager
def _working_folder(folder: str | Path | None) -> Iterator[Path]:
    """Use a folder of the user's, or one that is gone afterwards."""
    if folder is not None:
        check_folder(Path(folder), "folder")
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="mri3d-") as temporary:
        yield Path(temporary)
