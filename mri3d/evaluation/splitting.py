"""What all ways to split sessions into folds have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

from mri3d.arguments import check_fields
from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Fold, Sample
from mri3d.models.model import Model

INTERVALS = ("nadeau_bengio", "nested")
HARMONIZE = (None, "site")


def splits_text(splits: Any) -> str:  # noqa: ANN401 (any way to split)
    """Write how sessions are split, as folders of earlier versions have it: what is newer stands there if it is set."""
    if not is_dataclass(splits):
        return repr(splits)
    told = {field.name: getattr(splits, field.name) for field in fields(splits)}
    shown = [field.name for field in fields(splits) if not field.kw_only or told[field.name] != field.default]
    return f"{type(splits).__name__}({', '.join(f'{name}={told[name]!r}' for name in shown)})"


class Splits(Protocol):
    """Who trains and who is tested."""

    @property
    def allow_leaks(self) -> bool:
        """Whether to go on where a near-copy of a test session is among those that are learnt from."""

    @property
    def permutations(self) -> int:
        """How often labels are permuted to find out whether the scores are better than chance; 0 for never."""

    @property
    def refit(self) -> bool:
        """Whether models that take long to train are trained anew for each permutation."""

    @property
    def seeds(self) -> int:
        """How often each fold is fitted, with a seed of its own each time; the mean prediction is the prediction."""

    @property
    def intervals(self) -> str:
        """By what intervals are widened because folds share training rows, one of `INTERVALS`."""

    @property
    def confounds(self) -> str | Sequence[str]:
        """Columns that may explain what a model predicts, to be judged by themselves."""

    @property
    def harmonize(self) -> str | None:
        """By what volumes are harmonised, one of `HARMONIZE`; None for not at all."""

    def split(self, sample: Sample, *, seed: int) -> list[Fold]:
        """Deal the rows into folds.

        Args:
            sample: Who is to be split.
            seed: The split is a function of it and of the sample, whatever the order of the rows.

        Raises:
            UserError: There are too few groups to be on every side.
        """

    def tuned(self, model: Model) -> Model:
        """Return what is fitted in each fold: the model, or one that chooses among its variants."""

    def smaller(self, sample: Sample, folds: Sequence[Fold], *, seed: int) -> Mapping[float, list[Fold]]:
        """Return the same folds with fewer rows to learn from, by their fraction; none unless a curve is asked for.

        Args:
            sample: Who was split.
            folds: What `split` returned.
            seed: As of `split`.
        """


@dataclass(frozen=True, kw_only=True)
class WithTest:
    """What all ways to split with a test have in common.

    Attributes:
        allow_leaks: Whether to go on where a near-copy of a test session is among those that are learnt from.
        permutations: How often labels are permuted to find out whether the scores are better than chance; 0 for never.
        refit: Whether networks are trained anew for each permutation under k-fold, which takes as many times as long;
            without, the folds' tests of their fixed predictions are combined. Classical models are always refitted.
        seeds: How often each fold is fitted, with a seed of its own each time: how much the scores spread that way is
            told, and the mean prediction is the prediction.
        intervals: By what intervals are widened because folds share training rows: `nadeau_bengio`, a formula, or
            `nested`, which measures it by fits within folds (Bates and others 2024): of K folds K * (K - 1) further
            fits. With few folds that is noisy: repeat them.
        confounds: Columns, or the one, that may explain what a model predicts, such as `[age, icv_mm3, site]`: judged
            alone, together with the image, and taken out of it by linear regression, for which networks are trained
            once more. Of scans also head_size_ml (estimated), voxel_size_mm3, field_of_view_ml, file_type.
        harmonize: `site` takes the location and scale of each site out of every voxel (ComBat), fitted without labels
            to the sessions that a fold learns from. What it changes is shown beside what it changes for random labels,
            for which networks are trained three times more. A site needs 3 training sessions; one that is only tested
            has the location and scale of its own sessions, of which it needs 5.
    """

    allow_leaks: bool = False
    permutations: int = 0
    refit: bool = False
    seeds: int = 1
    intervals: str = "nadeau_bengio"
    confounds: str | Sequence[str] = ()
    harmonize: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, "evaluation")
        if self.harmonize not in HARMONIZE:
            asked = option("evaluation.harmonize", self.harmonize)
            raise UserError(f"{asked}: volumes are harmonised by site, or not at all. Give site, or leave it out.")
        if self.intervals not in INTERVALS:
            asked = option("evaluation.intervals", self.intervals)
            raise UserError(f"{asked} is no way to widen intervals. Give {' or '.join(INTERVALS)}.")
        check_count("seeds", self.seeds, least=1)

    def tuned(self, model: Model) -> Model:
        """Return the model as it is: nothing is chosen."""
        return model

    def smaller(self, sample: Sample, folds: Sequence[Fold], *, seed: int) -> Mapping[float, list[Fold]]:
        """Return none: each fold is fitted to all of its training rows."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Dealt(WithTest):
    """What ways to deal sessions out have in common.

    Attributes:
        balance: Columns that the sides of a split should hold alike, beside the outcome, such as `[age, sex]`.
        splits: Folder of another run, whose test sets are taken, so that several models are judged on the same.
    """

    balance: str | Sequence[str] = ()
    splits: str | Path | None = None


def check_share(name: str, value: float, *, least: float) -> None:
    """Refuse what is no share of the subjects.

    Raises:
        UserError: It names the argument.
    """
    if not least <= value < 1:
        allowed = "between 0 and 1" if least > 0 else "at least 0 and below 1"
        where = option(f"evaluation.{name}", value)
        raise UserError(f"{where} is no share of the subjects: give a number {allowed}, such as 0.2.")


def check_count(name: str, value: int, *, least: int) -> None:
    """Refuse what is too small a number.

    Raises:
        UserError: It names the argument.
    """
    if value < least:
        raise UserError(f"{option(f'evaluation.{name}', value)}: give a whole number of at least {least}.")
