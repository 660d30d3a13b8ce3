"""What image and covariates are worth to a model that has both: its scores with either exchanged between sessions.

Within each test set the covariates are dealt anew, so that a prediction is of one session's image and another's
covariates. Held against the truth of the first it shows what the covariates are worth, and against that of the second
what the image is (permutation importance, Breiman 2001; Fisher, Rudin and Dominici 2019). Nothing is fitted anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.evaluation.auc import scores_of_tests
from mri3d.evaluation.exchanges import EXCHANGES, Exchanged
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.paired import Sampled, compare_sampled
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Outcome, Score
from mri3d.outcome.score import SCORE_TITLES, interval_text, score_text
from mri3d.texts import list_text

IMAGE, COVARIATES = "image", "covariates"


@dataclass(frozen=True)
class Worth:
    """What a part of the input is worth to a score.

    Attributes:
        exchanged: The score with the part of another session, mean over the exchanges.
        difference: That, less the score as it is; the ends of its interval, means likewise.
    """

    exchanged: float
    difference: Score

    def matters(self, *, ascending: bool) -> bool:
        """Return whether the score is worse for certain without the part."""
        end = self.difference.low if ascending else self.difference.high
        return end is not None and (end > 0 if ascending else end < 0)


@dataclass(frozen=True, eq=False)
class Importance:
    """What image and covariates are worth.

    Attributes:
        columns: The covariates.
        primary: Name of the score.
        value: The score as it is.
        worth: Of `image` and `covariates`.
    """

    columns: tuple[str, ...]
    primary: str
    value: float
    worth: Mapping[str, Worth]

    def sentence(self, outcome: Outcome) -> str:
        """Write what it comes to."""
        title, told = SCORE_TITLES[self.primary], []
        names = {IMAGE: "the image", COVARIATES: list_text(self.columns, ", ", most=8)}
        for part, worth in self.worth.items():
            apart = f"{score_text(worth.exchanged)} against {score_text(self.value)}"
            ends = interval_text(worth.difference)
            found = f"{apart}, difference {score_text(worth.difference.value or 0.0)}{ends}"
            if worth.matters(ascending=outcome.ascending):
                told.append(f"The model goes by {names[part]}: with that of another session the {title} is {found}.")
            else:
                told.append(
                    f"No evidence that the model goes by {names[part]}: with that of another session the {title} is "
                    f"{found}."
                )
        return " ".join(told)

    def to_json(self, outcome: Outcome) -> dict[str, Any]:
        """Return what metrics.json says of it, JSON types."""
        return {
            "columns": list(self.columns),
            "primary": self.primary,
            "value": self.value,
            "exchanged": {
                part: {"score": worth.exchanged, "difference": vars(worth.difference)}
                for part, worth in self.worth.items()
            },
            "sentence": self.sentence(outcome),
        }


def importance(
    outcome: Outcome,
    targets: np.ndarray,
    predictions: np.ndarray,
    sampling: Sampling,
    folds: Sequence[FoldResult],
    columns: tuple[str, ...],
) -> Importance | None:
    """Compare the scores of all tests with those after exchanges.

    Args:
        outcome: What is predicted.
        targets: Truth of each test [T].
        predictions: Of each test.
        sampling: Who was tested.
        folds: What each fold gave.
        columns: Names of the covariates.

    Returns:
        None where a fold has no exchanges, or the primary score is not defined.
    """
    given = [result.exchanged for result in folds if len(result.fold.test_rows)]
    found = [each for each in given if each is not None]
    primary = outcome.compared[0]
    as_is = scores_of_tests(outcome, targets, predictions, None, sampling.folds)[primary]
    if not found or len(found) < len(given) or as_is is None:
        return None
    own = Sampled.of(outcome.resampling(targets, predictions), sampling)
    values: dict[str, list[tuple[float, float, float, float]]] = {IMAGE: [], COVARIATES: []}
    for number in range(EXCHANGES):
        of_rows = np.concatenate([each.predictions[number] for each in found])
        of_partners = np.concatenate([_at_partners(each, number) for each in found])
        for part, each in ((COVARIATES, of_rows), (IMAGE, of_partners)):
            tests = outcome.resampling(targets, each)
            apart = compare_sampled(own, Sampled.of(tests, sampling), sampling, primary=primary).differences[primary]
            low, high = (np.nan if end is None else end for end in (apart.low, apart.high))
            values[part].append((apart.second, apart.difference, low, high))
    worth = {}
    for part, rows in values.items():
        second, difference, *ends = np.mean(rows, axis=0).tolist()
        worth[part] = Worth(second, Score(difference, *(None if np.isnan(end) else end for end in ends)))
    return Importance(columns, primary, as_is, worth)


def _at_partners(each: Exchanged, number: int) -> np.ndarray:
    """Return what was predicted with the covariates of each test row, whose image was another's."""
    ordered = np.empty_like(each.predictions[number])
    ordered[each.partners[number]] = each.predictions[number]
    return np.asarray(ordered)
