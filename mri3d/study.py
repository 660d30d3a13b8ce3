"""The study: cohort, outcome and volumes, audited once; what every command and every library call works on."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from mri3d.arguments import checked
from mri3d.cohort.arrays import array_cohort
from mri3d.cohort.audit import audit
from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.cohort.people import session_word
from mri3d.cohort.table import Table
from mri3d.outcome import DEFAULT_TASK, Outcome, check_task, outcome_of
from mri3d.processes import first_speaks
from mri3d.texts import as_list, list_text
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipes import AnyRecipe, BrainRecipe, Recipe, check_masks
from mri3d.volumes.reference import outliers
from mri3d.volumes.sequence import InMemory, VolumeSequence

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Who takes part, what is predicted of them, and what they look like.

    Build one by `from_table`, `from_bids` or `from_arrays`; rows of everything are the sessions that take part.

    Attributes:
        cohort: Every session, those that take no part included, with the reason.
        outcome: What is predicted.
        volumes: Of the sessions that take part [N].
        suffix: Of the scans' names in their BIDS tree, which new scans are looked for by; None where there is none.

    >>> random = np.random.default_rng(0)
    >>> study = Study.from_arrays(random.random((6, 7, 8, 9)), labels=["control", "patient"] * 3)
    >>> study.describe()
    '6 sessions: 6 take part (control 3, patient 3)'
    """

    cohort: Cohort
    outcome: Outcome
    volumes: VolumeSequence
    suffix: str | None = None

    @classmethod
    @checked
    def from_table(
        cls,
        table: str | Path,
        *,
        root: str | Path = ".",
        id: str | Sequence[str] = "subject",
        label: str = "label",
        scan: str = "{id}.nii*",
        mask: str | None = None,
        resolution: int | str = 50,
        recipe: Recipe | BrainRecipe | None = None,
        task: str = DEFAULT_TASK,
        unlabelled: str | float | bool | Sequence[object] = (),
        group: str | None = None,
        site: str | None = None,
        covariates: str | Sequence[str] = (),
        skip_bad: bool = False,
        classes: bool = False,
    ) -> Self:
        """Read a study from a table, one row for each session, and a folder of scans.

        Args:
            table: CSV or TSV file, relative to `root`.
            root: Folder of the study.
            id: Column that names the session, or several, of which the first names the participant.
            label: Column of what is predicted.
            scan: Glob that finds a session's scan, relative to `root`; `{id}` and any `{column}` are filled in.
            mask: Glob that finds a mask of the brain in each scan, likewise; for a `BrainRecipe`.
            resolution: Edge of the volumes in voxels, or "native"; for the default recipe.
            recipe: How a scan becomes a volume; the default one at `resolution` unless given.
            task: "classification" or "regression".
            unlabelled: Label values that mean "no label".
            group: Column of those who must stay together (family, participant).
            site: Column that says where the scan was made.
            covariates: Further columns to keep.
            skip_bad: Leave out scans that cannot be used instead of raising.
            classes: Take numbers as names of classes, however many there are.

        Raises:
            UserError: The table, its labels or a scan cannot be used; all that is wrong with scans is told at once.
        """
        source = Table(
            str(root),
            str(table),
            id=id,
            label=label,
            scan=scan,
            mask=mask,
            unlabelled=unlabelled,
            group=group,
            site=site,
            covariates=covariates,
            skip_bad=skip_bad,
            classes=classes,
        )
        return cls.read(source, recipe or Recipe(resolution), task=task)

    @classmethod
    @checked
    def from_bids(
        cls,
        root: str | Path,
        *,
        label: str,
        table: str = "participants.tsv",
        suffix: str = "T1w",
        session: str | int | None = None,
        entities: Mapping[str, object] | None = None,
        resolution: int | str = 50,
        recipe: Recipe | BrainRecipe | None = None,
        task: str = DEFAULT_TASK,
        unlabelled: str | float | bool | Sequence[object] = (),
        group: str | None = None,
        site: str | None = None,
        covariates: str | Sequence[str] = (),
        skip_bad: bool = False,
        classes: bool = False,
    ) -> Self:
        """Read a study from a BIDS tree.

        Args:
            root: Folder of the study, or of one derivative.
            label: Column of what is predicted, in the table or in `sub-*_sessions.tsv`.
            table: TSV file of participants, or of their sessions, relative to `root`.
            suffix: Kind of scan, as names end: T1w, T2w, FLAIR.
            session: Take this session only.
            entities: Take scans with these entities only, such as `{"acq": "mprage"}`.
            resolution: As in `from_table`.
            recipe: As in `from_table`.
            task: "classification" or "regression".
            unlabelled: Label values that mean "no label".
            group: Column of those who must stay together; the participant otherwise.
            site: Column that says where the scan was made.
            covariates: Further columns to keep.
            skip_bad: Leave out scans that cannot be used instead of raising.
            classes: Take numbers as names of classes, however many there are.

        Raises:
            UserError: As `from_table`.
        """
        source = Bids(
            str(root),
            label,
            table=table,
            suffix=suffix,
            session=session,
            entities=entities or {},
            unlabelled=unlabelled,
            group=group,
            site=site,
            covariates=covariates,
            skip_bad=skip_bad,
            classes=classes,
        )
        return cls.read(source, recipe or Recipe(resolution), task=task)

    @classmethod
    def from_arrays(
        cls,
        volumes: Any,  # noqa: ANN401 (anything that numpy makes an array of)
        labels: Sequence[object],
        ids: Sequence[object] | None = None,
        groups: Sequence[object] | None = None,
        sites: Sequence[object] | None = None,
        covariates: Mapping[str, Sequence[object]] | None = None,
        task: str = DEFAULT_TASK,
        *,
        name: str = "label",
        unlabelled: str | float | bool | Sequence[object] = (),
        classes: bool = False,
    ) -> Self:
        """Make a study of volumes in memory, taken as they are: without a recipe, a cache or scans.

        Args:
            volumes: Intensities [N, X, Y, Z] or [N, C, X, Y, Z], finite, on a scale that the volumes share; copied.
            labels: Class or value of each [N]; None and NaN mean that there is none.
            ids: Name of each [N], by which the rows are sorted; "0", "1", ... unless given. Visits of one participant,
                such as `sub-01_ses-1`, stay together.
            groups: Who must stay together [N]: equal values are never on two sides of a split; None stands alone.
            sites: Where each was scanned [N].
            covariates: Name to what else is known of each [N].
            task: "classification" or "regression".
            name: What the label is called, for charts and messages.
            unlabelled: Label values that mean "no label".
            classes: Take numbers as names of classes, however many there are.

        Raises:
            UserError: Lengths differ, volumes are no such arrays, constant or the same twice, or the labels are not
                what `task` needs.
        """
        arrays = InMemory.of(volumes)
        cohort = array_cohort(
            arrays.digests,
            labels,
            ids=ids,
            groups=groups,
            sites=sites,
            covariates=covariates,
            name=name,
            unlabelled=as_list(unlabelled),
        )
        outcome = _outcome(cohort, task=task, name=name, insist=classes)
        row_of = {session.id: row for row, session in enumerate(cohort.sessions)}
        cohort = cohort.in_order()
        rows = [row_of[id] for id in cohort.ids]
        return cls(cohort, outcome, arrays if rows == list(range(len(arrays))) else InMemory(arrays.volumes[rows]))

    @classmethod
    def read(cls, source: CohortSource, recipe: AnyRecipe, *, task: str = DEFAULT_TASK) -> Self:
        """Read a cohort, check labels and scans, and prepare its volumes.

        Args:
            source: Where the cohort comes from.
            recipe: How a scan becomes a volume.
            task: "classification" or "regression".

        Raises:
            UserError: The cohort, its labels or its scans cannot be used.
        """
        check_task(task)
        with first_speaks():
            found = source.read().in_order()
            _outcome(found, task=task, name=source.label, insist=source.classes)  # before the scans are read
            check_masks(found, recipe)
            cohort = audit(found, recipe, skip_bad=source.skip_bad)
            left = "" if len(cohort.ids) == len(found.ids) else "of the sessions whose scans can be used, "
            outcome = _outcome(cohort, task=task, name=source.label, insist=source.classes, prefix=left)
            volumes = Volumes(cohort.scans, cohort.digests, recipe.for_cohort(cohort.scans), ids=cohort.ids)
            study = cls(cohort, outcome, volumes, source.suffix)
            log.info("study: %s", study._counts())
            return study

    @cached_property
    def targets(self) -> np.ndarray:
        """Truth of each session [N], see `mri3d.outcome`."""
        return self.outcome.encode(self.cohort.labels)

    @cached_property
    def groups(self) -> np.ndarray:
        """Who must stay together [N]."""
        return self.cohort.groups

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Name of each session [N]."""
        return self.cohort.ids

    @property
    def recipe(self) -> AnyRecipe | None:
        """How a scan becomes a volume; None for arrays."""
        return self.volumes.recipe

    @cached_property
    def outliers(self) -> dict[str, str]:
        """Name of each session whose volume is unlike the others, to what is wrong; found once, and then warned of."""
        self.volumes.fill()
        unlike = outliers(self.volumes, np.arange(len(self.volumes)))
        found = {self.ids[row]: warning for row, warning in unlike.items()}
        for name, warning in found.items():
            log.warning("%s %s is %s", session_word(self.cohort), name, warning)
        return found

    @property
    def cohort_with_outliers(self) -> Cohort:
        """The cohort, with a warning at each session whose volume is unlike the others."""
        said = {name: (warning,) for name, warning in self.outliers.items()}
        sessions = (replace(each, warnings=(*each.warnings, *said.get(each.id, ()))) for each in self.cohort.sessions)
        return replace(self.cohort, sessions=tuple(sessions))

    def __repr__(self) -> str:
        return f"<Study of {self.outcome.name}: {self._counts()}>"

    def describe(self) -> str:
        """Count the sessions in a line, and name those whose volumes are unlike the others, see `outliers`."""
        text = self._counts()
        if self.outliers:
            text += f", {len(self.outliers)} unlike the others ({list_text(list(self.outliers), ', ', most=3)})"
        return text

    def _counts(self) -> str:
        return self.cohort.describe(self.outcome.words.describe(self.targets))


def _outcome(cohort: Cohort, *, task: str, name: str, insist: bool, prefix: str = "") -> Outcome:
    """Make the outcome of those who take part."""
    labels = {session.id: session.label for session in cohort.sessions if not session.left_out and session.label}
    source = prefix + (cohort.source or f"column {name!r}")
    missing = sum(session.label is None for session in cohort.sessions)
    advice = "mend the scans that cannot be used" if prefix else cohort.advice
    return outcome_of(labels, task=task, name=name, source=source, num_unlabelled=missing, insist=insist, advice=advice)
