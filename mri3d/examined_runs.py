"""A finished run in; whether the maps of its models can be trusted, by all ways and on all tested scans, out."""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.recorded_folds import FirstTest, first_tests
from mri3d.examinations import Asked, Examinations
from mri3d.explain.evidence import LAYERED, Method, Question
from mri3d.explain.trust import LONG, MIN_SCANS, MapTest, Trust, with_agreement
from mri3d.external_people import study_of
from mri3d.models.member import Member
from mri3d.models.trained import TrainedModel
from mri3d.progress import progress
from mri3d.study import Study
from mri3d.texts import list_text, number_text
from mri3d.volumes.alignment import sample
from mri3d.volumes.described import Described
from mri3d.volumes.sequence import VolumeSequence

log = logging.getLogger(__name__)

NUM_AGREEING = 6
"""Scans of which the maps of all folds' models are compared."""


@dataclass(frozen=True, eq=False)
class ExaminedRun:
    """A finished run, the ways to explain that are examined, and on which scans.

    Attributes:
        folder: The run.
        model: Those of its folds.
        ways: To explain.
        tests: Session to how it was tested.
        num_tested: Sessions that the run tested.
    """

    folder: Path
    model: TrainedModel
    ways: tuple[Method, ...]
    tests: Mapping[str, FirstTest]
    num_tested: int

    @classmethod
    def of(
        cls, folder: Path, model: TrainedModel, *, methods: Sequence[str], layer: str | None, scans: int | None
    ) -> Self:
        """Check what is asked of a run; no scan is read.

        Args:
            folder: A finished run.
            model: That of the run.
            methods: Ways to explain, of `mri3d.explain.evidence.KINDS`; all that the model has unless given, but for
                that which asks for regions.
            layer: Of a network, whose map `gradcam` and `hirescam` weigh.
            scans: How many tested scans are examined, spread evenly over the folds; all unless given.

        Raises:
            UserError: There is no such way, or the run tested fewer scans than it takes.
        """
        names = list(methods) or [name for name in model.heatmaps if name != "region_occlusion"]
        if not names:
            _ = model.method(None)  # says why there are none
        ways = dict.fromkeys(model.method(name, layer if name in LAYERED else None) for name in names)
        if any(way.name == "region_occlusion" for way in ways):
            raise UserError("region_occlusion asks for regions, which a run does not have. Leave it out.")
        if layer is not None and not any(way.layer for way in ways):
            raise UserError(f"{option('layer', layer)} is for {' and '.join(LAYERED)} only. Leave it out.")
        tests, members = first_tests(folder), {member.card.fold for member in model.members}
        if unknown := {test.fold for test in tests.values()} - members:
            raise UserError(f"{folder} has no model of fold {min(unknown)}, which its cohort.csv names. Copy it whole.")
        if len(tests) < MIN_SCANS:
            raise UserError(
                f"{folder} tested {number_text(len(tests), 'scan')}, too few to tell whether maps can be trusted: that "
                f"takes {MIN_SCANS}. Give a run that tested more, such as one with evaluation=kfold."
            )
        if scans is not None and not MIN_SCANS <= scans <= len(tests):
            raise UserError(
                f"{option('scans', scans)} is not possible: {len(tests)} scans were tested, and it takes {MIN_SCANS}. "
                f"Give {MIN_SCANS} to {len(tests)}, or leave it out for all."
            )
        return cls(folder, model, tuple(ways), _spread(tests, scans or len(tests)), len(tests))

    def examine(self, study: Study, out: Path) -> Examinations:
        """Examine one way after the other, and write what was found so far after each.

        Args:
            study: Of the run, as its scans are now.
            out: Folder for the results, see `model_places.check_own`.

        Raises:
            UserError: Tested scans are gone or changed, or too few of them can be predicted.
        """
        study = study_of(self.model, study)
        self._check_scans(study)
        volumes = self._described(study)
        asked, left_out = self._asked(study, volumes)
        found = Examinations(self.folder, self.model, self.num_tested, asked, left_out)
        try:
            for way in self.ways:
                found.by_way[way] = self._examined(way, asked, volumes)
                found.write(out)
        except KeyboardInterrupt as stop:
            stop.add_note(f"{len(found.by_way)} of {number_text(len(self.ways), 'way')} were examined, see {out}.")
            raise
        return found

    def _check_scans(self, study: Study) -> None:
        """Refuse a study in which tested scans are gone, or are others by now.

        Raises:
            UserError: They are.
        """
        now = dict(zip(study.ids, study.cohort.digests, strict=True))
        if gone := [name for name in self.tests if name not in now]:
            told = number_text(len(gone), "session", "that it tested takes", "that it tested take")
            raise UserError(
                f"{self.folder} cannot be examined: {told} no part any more ({list_text(gone, ', ')}). Put the scans "
                "and the table back that it was trained on."
            )
        if changed := [name for name, test in self.tests.items() if test.digest not in ("", now[name])]:
            told = number_text(len(changed), "scan", "that it tested has", "that it tested have")
            raise UserError(
                f"{self.folder} cannot be examined: {told} changed since ({list_text(changed, ', ')}). Put back those "
                "that it was trained on."
            )

    def _described(self, study: Study) -> VolumeSequence:
        """Return the volumes, with what the models ask for beside them."""
        encoder = self.model.members[0].model.encoder
        if encoder is None:
            return study.volumes
        return Described(study.volumes, Sample.of(study).variables(encoder.names, asked="model.covariates"))

    def _asked(self, study: Study, volumes: VolumeSequence) -> tuple[list[Asked], dict[str, str]]:
        """Find what each scan is predicted to be by the model that did not learn from it, and why some are not.

        Raises:
            UserError: Too few of them are, as where models were harmonised for other sites.
        """
        rows = {name: row for row, name in enumerate(study.ids)}
        asked, left_out = list[Asked](), dict[str, str]()
        for name, test in progress(self.tests.items(), total=len(self.tests), title="predicting"):
            try:
                prediction = self._member(test.fold).model.predict(volumes, np.array([rows[name]]))[0]
            except UserError as error:
                left_out[name] = str(error)
                continue
            if np.isfinite(prediction).all():
                target = self.model.outcome.target_named(None, prediction)
                asked.append(Asked(name, rows[name], test.fold, target))
            else:
                left_out[name] = "the model computes no finite number for this scan."
        if left_out:
            told = f"{number_text(len(left_out), 'scan', 'is', 'are')} left out: {next(iter(left_out.values()))}"
            if len(asked) < MIN_SCANS:
                raise UserError(f"too few scans can be examined ({len(asked)}): {told}")
            log.warning("%s", told)
        return asked, left_out

    def _examined(self, way: Method, asked: Sequence[Asked], volumes: VolumeSequence) -> Trust:
        """Examine the maps of one way: those of each fold's model of the scans that it was tested on."""
        tests: list[MapTest] = []
        steps = progress(asked, total=len(asked), title=str(way))
        for fold, group in itertools.groupby(steps, key=lambda each: each.fold):
            member = self._member(fold)
            questions = (_question(each, way, volumes) for each in group)
            found = member.model.examined(questions, reference=member.card.reference, form=LONG)
            assert found is not None, "it has maps, and can predict the scans"
            tests += found.tests
        trust = Trust.of(way.name, tests)
        return with_agreement(trust, self._maps(way, asked, volumes)) if len(self.model.members) > 1 else trust

    def _maps(self, way: Method, asked: Sequence[Asked], volumes: VolumeSequence) -> Iterator[list[np.ndarray]]:
        """Compute the maps of all folds' models of some scans, which all but one of them have learnt from."""
        some = [asked[position] for position in sample(range(len(asked)), NUM_AGREEING)]
        for each in progress(some, total=len(some), title=f"{way}: agreement"):
            question = _question(each, way, volumes)
            try:
                yield [_map(member, question) for member in self.model.members]
            except UserError as error:  # of a site that another fold's model was not harmonised for
                log.debug("%s: %s", each.name, error)

    def _member(self, fold: int) -> Member:
        (found,) = (member for member in self.model.members if member.card.fold == fold)
        return found


def _spread(tests: Mapping[str, FirstTest], number: int) -> dict[str, FirstTest]:
    """Choose some tests, evenly over the folds, and sort all by their fold."""
    names = sorted(tests, key=lambda name: tests[name].fold)  # stable
    return {names[position]: tests[names[position]] for position in sample(range(len(names)), number)}


def _question(asked: Asked, way: Method, volumes: VolumeSequence) -> Question:
    """Read the volume of a scan and ask."""
    known = None if volumes.covariates is None else volumes.covariates.taking(np.array([asked.row]))
    return Question(volumes[asked.row], asked.target, way, known, quick=True)  # as in the report of the run


def _map(member: Member, question: Question) -> np.ndarray:
    return member.model.explain(question, reference=member.card.reference).values
