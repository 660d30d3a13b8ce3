"""What a run keeps of its fitted models: model folders, pictures of tested scans, and whether to trust their maps."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mri3d.cohort.people import session_word
from mri3d.cohort.variables import Variables
from mri3d.errors import UserError
from mri3d.evaluation.fold_result import FoldResult
from mri3d.explain.evidence import Question
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE, NUM_SCANS, Trust, with_agreement
from mri3d.models.member import Member
from mri3d.models.trained import TrainedModel
from mri3d.records import write_member
from mri3d.report.figures import HeadView, slices
from mri3d.report.picture import Picture
from mri3d.scans.scan_file import read_file
from mri3d.study import Study

log = logging.getLogger(__name__)

NUM_AGREEING = 2
"""Scans of whose maps those of the folds' models are compared: they are held until the last fold has been fitted."""


@dataclass
class ModelKeeper:
    """Keeps of each fold the fitted model with what it needs to meet new scans, and of the first fold pictures.

    Args:
        folder: The run.
        study: What the models are fitted on.
        num_folds: How many folds the run has.
        covariates: Of all sessions, where the models have such.
        pictures: Of some tested subjects of the first fold.
        weights: The first fold's model in words, to the weights of its voxels; empty where it is not linear.
        trust: What examining the first fold's maps found; None where there is nothing to examine.
    """

    folder: Path
    study: Study
    num_folds: int
    covariates: Variables | None = None
    pictures: list[Picture] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    trust: Trust | None = None
    _asked: list[Question] = field(default_factory=list)
    _maps: list[list[np.ndarray]] = field(default_factory=list)

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
        if fold.number == 0:
            with optional("pictures of tested scans"):
                self.pictures.extend(self._pictures(result, TrainedModel((member,))))
            if (weights := result.model.maps()) is not None:
                self.weights[f"the model of fold {fold.number}" if self.num_folds > 1 else "the model"] = weights

    def captioned(self, better_than_chance: bool | None) -> list[Picture]:
        """Return the pictures; where the model predicts no better than chance, each says so."""
        if better_than_chance is not False:
            return self.pictures
        return [replace(each, caption=f"{each.caption} {NO_BETTER_THAN_CHANCE}") for each in self.pictures]

    def examination(self) -> Trust | None:
        """Return what was found of the maps, with how far the models of the folds agree."""
        if self.trust is None or len(self._maps) < 2:
            return self.trust
        return with_agreement(self.trust, [list(of_scan) for of_scan in zip(*self._maps, strict=True)])

    def _examined(self, result: FoldResult, member: Member) -> Member:
        """Examine the maps of the first fold, and write into its card what was found."""
        rows = self._spread(result.fold.test_rows)
        questions = list(self._questions(result, TrainedModel((member,)), rows.tolist()))
        if not questions:
            return member
        self.trust = member.model.examined(questions, baseline=member.card.reference.mean)
        if self.trust is None:
            return member
        self._asked = questions[:NUM_AGREEING] if self.num_folds > 1 else []
        return replace(member, card=replace(member.card, facts=member.card.facts | {"maps": self.trust.to_json()}))

    def _compare(self, member: Member) -> None:
        """Compute the maps of a fold's model of what all are asked about."""
        if self._asked:
            found = [member.model.explain(asked, baseline=member.card.reference.mean) for asked in self._asked]
            self._maps.append([evidence.values for evidence in found])

    def _spread(self, rows: np.ndarray) -> np.ndarray:
        """Choose positions among tested rows, evenly."""
        return np.unique(np.linspace(0, len(rows) - 1, NUM_SCANS).round().astype(int)) if len(rows) else rows

    def _questions(self, result: FoldResult, trained: TrainedModel, positions: Sequence[int]) -> Iterator[Question]:
        """Ask about the predicted class of tested sessions, by their positions in the fold's test."""
        if not trained.heatmaps:
            return
        for position in positions:
            row = result.fold.test_rows[position]
            target = self.study.outcome.target_named(None, result.predictions[position])
            yield Question(self.study.volumes[int(row)], target, trained.method(None), self._known(int(row)))

    def _known(self, row: int) -> Variables | None:
        """Return the covariates of a session."""
        return None if self.covariates is None else self.covariates.taking(np.array([row]))

    def _pictures(self, result: FoldResult, trained: TrainedModel) -> Iterator[Picture]:
        """Draw some tested scans with the evidence for their prediction; volumes that came without have none."""
        rows, outcome, study = result.fold.test_rows, self.study.outcome, self.study
        if study.recipe is None or not len(rows):
            return
        shown = bool(trained.heatmaps) and (self.trust is None or self.trust.trusted is not False)
        for example in outcome.examples(study.targets[rows], result.predictions):
            row = int(rows[example.position])
            volume, scan = study.volumes[row], read_file(study.cohort.scans[row])
            heat, (high, low) = None, outcome.words.evidence(example.target)
            caption = f"{session_word(study.cohort).capitalize()} {study.ids[row]} {example.caption}"
            if shown:
                try:
                    asked = Question(volume, example.target, trained.method(None), self._known(row))
                    heat = trained.evidence(asked, inside=study.recipe.inside(scan)).heat
                    caption += f". Colour: {example.evidence}, compared with the average training scan"
                except UserError as error:  # a model that was harmonised for other sites than the tested one
                    caption += f". Without a heatmap: {error.text.partition('. ')[0]}"
            view = HeadView(volume[0], study.recipe.affine(scan), heatmap=heat, high=high, low=low)
            yield slices(view, alt=f"{caption}.", caption=f"{caption}.")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Go on without what a scan that has moved, a full disk or memory prevents: it is not worth a finished training."""
    try:
        yield
    except (UserError, OSError, MemoryError, RuntimeError) as error:  # torch's out-of-memory is a RuntimeError
        log.warning("%s could not be made: %s", what, " ".join(str(error).split()) or "there is not enough memory")
