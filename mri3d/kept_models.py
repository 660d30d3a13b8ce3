"""What a run keeps of its fitted models: model folders, what tested scans look like, whether to trust their maps."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mri3d.cohort.variables import Variables
from mri3d.evaluation.fold_result import FoldResult
from mri3d.explain.evidence import Question
from mri3d.explain.trust import NUM_SCANS, Trust, with_agreement
from mri3d.models.member import Member
from mri3d.models.trained import TrainedModel
from mri3d.pictured_examples import question
from mri3d.records import write_member
from mri3d.study import Study
from mri3d.tested_scans import TestedScans
from mri3d.volumes.alignment import sample

log = logging.getLogger(__name__)

NUM_AGREEING = 2
"""Scans of whose maps those of the folds' models are compared: they are held until the last fold has been fitted."""


@dataclass
class ModelKeeper:
    """Keeps of each fold the fitted model with what it needs to meet new scans, and what its tested scans look like.

    Args:
        folder: The run.
        study: What the models are fitted on.
        num_folds: How many folds the run has.
        covariates: Of all sessions, where the models have such.
        tested: What the tested scans look like.
        weights: The first fold's model in words, to the weights of its voxels; empty where it is not linear.
        patterns: The same for how voxels go with its decisions.
        trust: What examining the first fold's maps found; None where there is nothing to examine.
    """

    folder: Path
    study: Study
    num_folds: int
    covariates: Variables | None = None
    tested: TestedScans = field(init=False)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    patterns: dict[str, np.ndarray] = field(default_factory=dict)
    trust: Trust | None = None
    _asked: list[Question] = field(default_factory=list)
    _maps: list[list[np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tested = TestedScans(self.study, self.num_folds, self.covariates)

    def __call__(self, result: FoldResult) -> None:
        """Write the model folder of a fold."""
        assert result.model is not None, "the model was just fitted"
        fold = result.fold
        member = result.member(self.study, num_folds=self.num_folds)
        if fold.number == 0:
            with optional("an examination of the heatmaps"):
                member = self._examined(result, member)
        write_member(self.folder, member, result, num_folds=self.num_folds)
        with optional("a comparison of the heatmaps of the folds"):
            self._compare(member)
        trained = TrainedModel((member,))
        with optional("pictures of tested scans"):
            trusted = self.trust is None or self.trust.trusted is not False
            self.tested.add(result, trained, mapped=bool(trained.heatmaps) and trusted)
        if fold.number == 0 and (weights := result.model.maps()) is not None:
            whose = f"the model of fold {fold.number}" if self.num_folds > 1 else "the model"
            self.weights[whose] = weights
            if "pattern" in trained.heatmaps:
                with optional("the pattern of the model"):
                    self.patterns[whose] = self._pattern(result, trained)

    def examination(self) -> Trust | None:
        """Return what was found of the maps, with how far the models of the folds agree."""
        if self.trust is None or len(self._maps) < 2:
            return self.trust
        return with_agreement(self.trust, [list(of_scan) for of_scan in zip(*self._maps, strict=True)])

    def _examined(self, result: FoldResult, member: Member) -> Member:
        """Examine the maps of the first fold, and write into its card what was found."""
        positions = sample(range(len(result.fold.test_rows)), NUM_SCANS)
        questions = list(self._questions(result, TrainedModel((member,)), positions))
        if not questions:
            return member
        self.trust = member.model.examined(questions, reference=member.card.reference)
        if self.trust is None:
            return member
        self._asked = questions[:NUM_AGREEING] if self.num_folds > 1 else []
        return replace(member, card=replace(member.card, facts=member.card.facts | {"maps": self.trust.to_json()}))

    def _pattern(self, result: FoldResult, trained: TrainedModel) -> np.ndarray:
        """Return how voxels go with each decision of a linear model, whichever scan is asked about [D, X, Y, Z]."""
        outcome, row, way = self.study.outcome, int(result.fold.train_rows[0]), trained.method("pattern")
        targets = [outcome.target_named(name, np.empty(0)) for name in outcome.decisions]
        asked = [question(self.study, trained, row, target, self.covariates) for target in targets]
        return np.stack([trained.evidence(replace(each, method=way)).values for each in asked])

    def _compare(self, member: Member) -> None:
        """Compute the maps of a fold's model of what all are asked about."""
        if self._asked:
            found = [member.model.explain(asked, reference=member.card.reference) for asked in self._asked]
            self._maps.append([evidence.values for evidence in found])

    def _questions(self, result: FoldResult, trained: TrainedModel, positions: Sequence[int]) -> Iterator[Question]:
        """Ask about the predicted class of tested sessions, by their positions in the fold's test."""
        if not trained.heatmaps:
            return
        for position in positions:
            row = result.fold.test_rows[position]
            target = self.study.outcome.target_named(None, result.predictions[position])
            yield question(self.study, trained, int(row), target, self.covariates)


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Go on without what a scan that has moved, a full disk or memory prevents: it is not worth a finished training."""
    try:
        yield
    except Exception as error:  # networks of the user's own may raise anything
        log.debug("%s:", what, exc_info=True)
        log.warning("%s could not be made: %s", what, " ".join(str(error).split()) or _reason(error))


def _reason(error: Exception) -> str:
    """Say what an error that has no text is about."""
    return "there is not enough memory" if isinstance(error, MemoryError | RuntimeError) else type(error).__name__
