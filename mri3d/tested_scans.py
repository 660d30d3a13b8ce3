"""What the page of a run shows of tested scans: the evidence in each, training scans like it, and some in 3D."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from mri3d.cohort.people import session_word
from mri3d.cohort.variables import Variables
from mri3d.errors import UserError
from mri3d.evaluation.fold_result import FoldResult
from mri3d.evaluation.results import Results
from mri3d.explain.evidence import Evidence
from mri3d.explain.similar import coarse_features, most_similar
from mri3d.explain.trust import NO_BETTER_THAN_CHANCE
from mri3d.group_maps import GroupedEvidence
from mri3d.models.trained import TrainedModel
from mri3d.outcome.outcome import Example
from mri3d.pictured_examples import example_picture, first_sentence, question
from mri3d.report.elements import Html
from mri3d.report.embedded_volume import embed
from mri3d.report.figures import HeadView
from mri3d.report.picture import Picture
from mri3d.report.sprites import Tile, tile
from mri3d.report.subject_table import SimilarScan, SubjectShown, subject_section
from mri3d.report.viewer import ViewedScan, viewer_section
from mri3d.scans.scan import ScanError
from mri3d.study import Study
from mri3d.texts import isolated, number_text
from mri3d.viewed_scans import embedded_scan, scan_of, upright
from mri3d.volumes.described import Described

log = logging.getLogger(__name__)

NUM_VIEWED = 12
"""Scans that a page shows in 3D, beside the examples: each takes up to 0.3 MB."""

SECONDS, SHARE = 20.0, 0.05
"""How long the maps of a run may take, beside that share of its training: of large networks not all have one."""

_Captioned = TypeVar("_Captioned", Picture, ViewedScan)
_LATE = "No heatmap: those of the more wrong ones took all the time that there was."


@dataclass(frozen=True, eq=False)
class _Tested:
    """What is known of a test beside its prediction.

    Attributes:
        picture: The volume with the evidence; None where there is none.
        similar: Rows that the model learnt from, most similar first, and how similar each is.
        notes: Why there is no evidence.
        viewed: By what name the scan can be viewed; empty where it cannot be.
    """

    picture: Tile | None
    similar: Sequence[tuple[int, float]]
    notes: Sequence[str] = ()
    viewed: str = ""


@dataclass
class TestedScans:
    """Gathers of each fold what its tested scans look like.

    Args:
        study: What the models are fitted on.
        num_folds: How many folds the run has.
        covariates: Of all sessions, where the models have such.
        pictures: Of some tested scans of the first fold.
        viewed: Scans that can be viewed.
    """

    study: Study
    num_folds: int
    covariates: Variables | None = None
    pictures: list[Picture] = field(default_factory=list)
    viewed: list[ViewedScan] = field(default_factory=list)
    _tested: dict[tuple[int, int], _Tested] = field(default_factory=dict)  # by number of the fold, and row
    _plain: dict[int, Tile | None] = field(default_factory=dict)  # by row
    _grouped: GroupedEvidence = field(init=False)
    _by_features: dict[int, bool] = field(default_factory=dict)  # by fold, whether scans are similar by its model's
    _allowed: float = 0.0  # seconds for maps, of which some are gone

    def __post_init__(self) -> None:
        self._grouped = GroupedEvidence(self.study)

    def add(self, result: FoldResult, trained: TrainedModel, *, mapped: bool) -> None:
        """Look at the tested scans of a fold, the most wrong ones first.

        Args:
            result: Of the fold.
            trained: The fold's model alone.
            mapped: Whether its heatmaps may be shown.
        """
        fold = result.fold
        rows, outcome = fold.test_rows, self.study.outcome
        if not len(rows):
            return
        self._allowed += SECONDS / self.num_folds + SHARE * result.seconds
        targets = self.study.targets[rows]
        order = np.argsort(-outcome.misses(targets, result.predictions), kind="stable").tolist()
        examples = outcome.examples(targets, result.predictions) if fold.number == 0 else []
        seen_closely = self._seen_closely(order, examples, fold.number)
        similar = self._similar(result)
        for position in sorted(order, key=lambda position: position not in seen_closely):  # stable
            row = int(rows[position])
            evidence, notes = self._evidence(trained, row, result.predictions[position], mapped=mapped)
            picture = self._tile(row, None if evidence is None else evidence.heat)
            viewed = self._view(result, position, evidence) if position in seen_closely else ""
            self._tested[fold.number, row] = _Tested(picture, similar[position], notes, viewed)
            if evidence is not None:
                self._grouped.keep(row, outcome.target_named(None, result.predictions[position]), evidence.values)
        if self.study.recipe is not None:  # volumes that came without scans lie nowhere
            for example in examples:
                row = int(rows[example.position])
                drawn = example_picture(self.study, trained, row, example, covariates=self.covariates, mapped=mapped)
                self.pictures += [] if drawn is None else [drawn]

    def pictured(self, better_than_chance: bool | None) -> list[Picture]:
        """Return the pictures; where the model predicts no better than chance, each says so."""
        return _captioned(self.pictures, better_than_chance)

    def table(self, results: Results) -> list[Html]:
        """List all tests: a section of the page."""
        word, words = session_word(self.study.cohort), self.study.outcome.words
        by, coarse = "what their last layer is given", "coarse copies of their volumes"
        if without := [str(fold) for fold, known in self._by_features.items() if not known]:
            several = len(without) < len(self._by_features)
            by = f"{by} (of fold {', '.join(without)}: {coarse})" if several else coarse
        note = f"Similar are those of the scans that the same model learnt from that {by} make most alike (cosine)."
        if any(each.picture and each.picture.heatmap for each in self._tested.values()):
            note = f"{words.heatmap_reading()} {note}"
            note += f" {NO_BETTER_THAN_CHANCE}" if results.better_than_chance is False else ""
        return subject_section(self._subjects(results), word=word, wrongness=words.miss_title(), note=note)

    def viewer(self, better_than_chance: bool | None, *, faces: bool) -> list[Html]:
        """Let some scans be viewed: a section of the page.

        Args:
            better_than_chance: Whether the model is; where not, each caption says so.
            faces: Whether whole heads may be rendered.
        """
        brains = self.study.recipe is not None and self.study.recipe.shows == "brains"
        return viewer_section(
            _captioned(self.viewed, better_than_chance), shows="brains" if brains else "heads", faces=faces
        )

    def group(self, better_than_chance: bool | None, folder: Path) -> list[Picture]:
        """Write what the evidence in all scans with one prediction has in common, and draw it.

        Args:
            better_than_chance: Whether the model is; where not, each caption says so.
            folder: Of the maps.
        """
        drawn, tested = self._grouped.write(folder), {row for _, row in self._tested}
        late = {row for (_, row), each in self._tested.items() if _LATE in each.notes} - self._grouped.targets.keys()
        told = (
            f"Of {number_text(len(tested), 'tested scan')} {len(late)} had no heatmap for want of time; the most wrong "
            "predictions of each fold came first."
        )
        if late:
            drawn = [replace(each, caption=f"{each.caption} {told}") for each in drawn]
        return _captioned(drawn, better_than_chance)

    def _subjects(self, results: Results) -> list[SubjectShown]:
        """Lay out the tests for their table."""
        outcome, study = self.study.outcome, self.study
        targets, predicted = results.targets, results.predicted
        names, misses = outcome.words.value_titles(), outcome.misses(targets, predicted)
        hits = outcome.hits(targets, predicted)
        _, *columns = outcome.prediction_columns(predicted).values()
        subjects = []
        for test, (row, fold) in enumerate(zip(results.rows.tolist(), results.fold_numbers.tolist(), strict=True)):
            known = self._tested.get((fold, row))
            subjects.append(
                SubjectShown(
                    study.ids[row],
                    fold,
                    str(study.cohort.labels[row]),
                    outcome.words.prediction(predicted[test]),
                    {name: float(column[test]) for name, column in zip(names, columns, strict=True)},
                    float(misses[test]),
                    None if hits is None else bool(hits[test]),
                    None if known is None else known.picture,
                    () if known is None else [self._like(*each) for each in known.similar],
                    () if known is None else known.notes,
                    "" if known is None else known.viewed,
                )
            )
        return subjects

    def _seen_closely(self, order: Sequence[int], examples: Sequence[Example], number: int) -> set[int]:
        """Choose which tests of a fold, by their positions, are viewed: the most wrong ones, and the examples."""
        room = NUM_VIEWED * (number + 1) // self.num_folds - NUM_VIEWED * number // self.num_folds
        return {*order[:room], *(example.position for example in examples)}

    def _similar(self, result: FoldResult) -> list[list[tuple[int, float]]]:
        """Find what each tested scan of a fold is most like of those that the model learnt from."""
        assert result.model is not None, "the model was just fitted"
        learnt, rows = result.fold.train_rows, result.fold.test_rows
        volumes = self.study.volumes if self.covariates is None else Described(self.study.volumes, self.covariates)
        try:
            of_learnt, of_tested = (result.model.features(volumes, each) for each in (learnt, rows))
        except UserError:  # a model that was harmonised for other sites than the tested one
            of_learnt = of_tested = None
        self._by_features[result.fold.number] = of_learnt is not None
        if of_learnt is None or of_tested is None:
            of_learnt, of_tested = self._coarse[learnt], self._coarse[rows]
        places, similarity = most_similar(of_tested, of_learnt)
        return [
            list(zip(learnt[found].tolist(), values.tolist(), strict=True))
            for found, values in zip(places, similarity, strict=True)
        ]

    @cached_property
    def _coarse(self) -> np.ndarray:
        """Coarse copies of all volumes [N, F]."""
        return np.stack([coarse_features(self.study.volumes[row]) for row in range(len(self.study.volumes))])

    def _evidence(
        self, trained: TrainedModel, row: int, prediction: np.ndarray, *, mapped: bool
    ) -> tuple[Evidence | None, tuple[str, ...]]:
        """Map the evidence for the prediction of a session, or say why there is no map."""
        if not mapped:
            return None, ()
        if self._allowed <= 0:
            return None, (_LATE,)
        start = time.monotonic()
        try:
            target = self.study.outcome.target_named(None, prediction)
            asked, recipe = question(self.study, trained, row, target, self.covariates), self.study.recipe
            evidence = trained.evidence(asked)
            if recipe is not None and recipe.shows == "brains":  # around a brain there is none
                evidence = evidence.within(asked.volume[0] != 0)
            return evidence, ()
        except Exception as error:  # of a network of the user's own, or for other sites than the tested one
            return None, (f"No heatmap: {first_sentence(error)}.",)
        finally:
            self._allowed -= time.monotonic() - start

    def _tile(self, row: int, heat: np.ndarray | None = None) -> Tile | None:
        """Draw a scan with a heatmap or without; None where it cannot be turned upright any more."""
        affine = upright(self.study, row)
        return None if affine is None else tile(HeadView(self.study.volumes[row][0], affine, heat))

    def _like(self, row: int, similarity: float) -> SimilarScan:
        """Show a training scan that a tested one is like."""
        if row not in self._plain:
            self._plain[row] = self._tile(row)
        return SimilarScan(self.study.ids[row], str(self.study.cohort.labels[row]), similarity, self._plain[row])

    def _view(self, result: FoldResult, position: int, evidence: Evidence | None) -> str:
        """Keep a scan to be viewed; return by what name, which is empty where it cannot be."""
        row, prediction = int(result.fold.test_rows[position]), result.predictions[position]
        outcome, recipe, repeat = self.study.outcome, self.study.recipe, result.fold.repeat
        name = self.study.ids[row] + (f", repeat {repeat + 1}" if repeat else "")
        heat = None if evidence is None else evidence.heat
        try:
            if recipe is None:
                volumes = embed(self.study.volumes[row][0], np.eye(4), heat)
            else:
                scan = scan_of(self.study, row)
                volumes = embedded_scan(scan, recipe, heat, recipe.affine(scan))
        except (ScanError, OSError) as error:
            log.warning("%s cannot be viewed: %s", name, error)
            return ""
        high, low = outcome.words.evidence(outcome.target_named(None, prediction))
        caption = f"{outcome.name} {self.study.cohort.labels[row]}, predicted {outcome.words.verdict(prediction)}."
        self.viewed.append(ViewedScan(name, volumes, high, low, f"{isolated(name)}: {caption}"))
        return name


def _captioned(shown: Sequence[_Captioned], better_than_chance: bool | None) -> list[_Captioned]:
    """Add to captions that the model predicts no better than chance, if it does not."""
    if better_than_chance is not False:
        return list(shown)
    return [replace(each, caption=f"{each.caption} {NO_BETTER_THAN_CHANCE}") for each in shown]
