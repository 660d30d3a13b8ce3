"""Volumes without what sets sites apart: each voxel less the location and scale of its site, see `Combat`."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from mri3d.errors import UserError, did_you_mean, option
from mri3d.files import digest_json
from mri3d.texts import count_text, list_text, number_text
from mri3d.volumes.combat import FEWEST, FEWEST_OF_NEW, Combat
from mri3d.volumes.sequence import View, VolumeSequence


def check_sites(
    sites: Sequence[str | None],
    rows: np.ndarray,
    test_rows: np.ndarray,
    *,
    ids: Sequence[str] = (),
    name: str = "the model",
) -> None:
    """Refuse, before anything is fitted, sessions of which the effect of their site cannot be estimated.

    Args:
        sites: Where each session was scanned [N].
        rows: Which are learnt from.
        test_rows: Which are tested.
        ids: Name of each session, for messages.
        name: What learns from them, for messages.

    Raises:
        UserError: A session has no site, all are of one, or a site has too few.
    """
    asked, used = option("evaluation.harmonize", "site"), np.concatenate([rows, test_rows]).tolist()
    leave_out = f"leave {option('evaluation.harmonize')} out"
    if lacking := [row for row in used if not sites[row]]:
        told = list_text([ids[row] if ids else f"row {row}" for row in lacking], ", ")
        raise UserError(
            f"{asked}: {number_text(len(lacking), 'session', 'has', 'have')} no site: {told}. Name the column that has "
            f"it by {option('data.site')} and fill it in, or {leave_out}."
        )
    if len({sites[row] for row in used}) == 1:
        raise UserError(f"{asked}: all sessions are of one site, {sites[used[0]]!r}. Leave it out.")
    learnt, every = Counter(sites[row] for row in rows.tolist()), Counter(sites)
    tested_only = {site: every[site] for site in {sites[row] for row in test_rows.tolist()} - set(learnt)}
    for counts, whose, least in (
        (learnt, f"sessions that {name} learns from", FEWEST),
        (tested_only, f"sessions of sites that {name} tests and does not learn from", FEWEST_OF_NEW),
    ):
        if few := {str(site): number for site, number in counts.items() if number < least}:
            raise UserError(
                f"{asked}: too few {whose}: {count_text(dict(sorted(few.items())))}. To estimate the effect of a site "
                f"takes {least}. Leave such sites out, join them with others of the same scanner, or {leave_out}."
            )


class _WithoutSites(View, ABC):
    """Volumes of a source without the effects of their sites."""

    on_disk = False

    def __init__(self, source: VolumeSequence, sites: Sequence[str | None]) -> None:
        assert len(sites) == len(source), "one site for each volume"
        super().__init__(source)
        self.sites = tuple(sites)

    @property
    @abstractmethod
    def effects(self) -> Combat:
        """What is taken out."""

    def __getitem__(self, row: int) -> np.ndarray:
        volume = self.source[row]
        return self.effects.adjusted(volume.reshape(1, -1), [self.sites[row]], slice(None)).reshape(volume.shape)

    def block(self, rows: Sequence[int] | np.ndarray, voxels: slice) -> np.ndarray:
        """Return the same flattened voxels of several volumes, float32 [len(rows), V]."""
        return self.effects.adjusted(self.source.block(rows, voxels), [self.sites[row] for row in rows], voxels)

    def fill(self) -> None:
        """Make the source's volumes, and have the effects at hand."""
        super().fill()
        _ = self.effects


class Harmonized(_WithoutSites):
    """The volumes of a cohort without the effects of their sites, which are fitted to some rows when first needed.

    A site that is not among these rows has the location and scale of its own sessions, of all of them: they are images
    only, and no label has a part in it. Of fewer than five the volumes stay as they are, and `check_sites` refuses to
    test such.

    Args:
        source: The volumes.
        sites: Where each was scanned [N].
        rows: Which are fitted; the values of other rows change nothing but volumes of a site that is not among them.
    """

    def __init__(self, source: VolumeSequence, sites: Sequence[str | None], rows: np.ndarray) -> None:
        super().__init__(source, sites)
        self.rows = rows
        self._smoothed: dict[float, Harmonized] = {}  # so that each is fitted once

    @cached_property
    def combat(self) -> Combat:
        """The effects of the sites that are fitted."""
        return Combat.fit(self.source, self.sites, self.rows)

    @cached_property
    def effects(self) -> Combat:
        """The same, with those of other sites."""
        found = self.combat
        for site, rows in self._new_sites.items():
            found = found.new_site(site, self.source, rows)
        return found

    @property
    def combats(self) -> dict[float, Combat]:
        """What was fitted so far, by how much the volumes were smoothed: what a model needs on new volumes."""
        every = {0.0: self, **self._smoothed}
        return {share: each.combat for share, each in every.items() if "combat" in vars(each)}

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """What identifies each row [N]: the volume, its site, and all that the effect is estimated from."""
        source, sites = self.source.digests, self.sites
        fit = digest_json([[sites[row], source[row]] for row in self.rows])
        own = {site: digest_json([source[row] for row in rows]) for site, rows in self._new_sites.items()}
        pairs = zip(source, sites, strict=True)
        return tuple(digest_json(["harmonized", each, site, fit, own.get(site or "", "")]) for each, site in pairs)

    def smoothed(self, share: float) -> "Harmonized":
        """Return the same volumes smoothed, and fitted anew; themselves for 0."""
        if share and share not in self._smoothed:
            self._smoothed[share] = Harmonized(self.source.smoothed(share), self.sites, self.rows)
        return self._smoothed[share] if share else self

    @cached_property
    def _new_sites(self) -> dict[str, np.ndarray]:
        """Rows of each site that is not fitted but has enough of them."""
        fitted = {self.sites[row] for row in self.rows}
        counts = Counter(site for site in self.sites if site and site not in fitted)
        names = sorted(name for name, number in counts.items() if number >= FEWEST_OF_NEW)
        return {name: np.flatnonzero([site == name for site in self.sites]) for name in names}


class UnknownSiteError(UserError):
    """A scan is of a site that nothing was fitted to."""


class Applied(_WithoutSites):
    """New volumes without the effects of sites that were fitted before.

    Args:
        source: The volumes.
        sites: Where each was scanned [N].
        combats: The effects, by how much the volumes were smoothed that they were fitted to: `Harmonized.combats`.

    Raises:
        UnknownSiteError: A site is not known.
    """

    def __init__(self, source: VolumeSequence, sites: Sequence[str | None], combats: Mapping[float, Combat]) -> None:
        super().__init__(source, sites)
        self.combats = combats
        known = next(iter(combats.values())).sites
        if unknown := [site for site in self.sites if site not in known]:
            site = unknown[0]
            told = f"site {site!r} is not one" if site else "a scan has no site, and needs one"
            raise UnknownSiteError(
                f"{told} that the model was harmonised for: {list_text(known, ', ', most=20)}."
                f"{did_you_mean(site, known) if site else ''} Name the site of each scan as in training, or train "
                f"without {option('evaluation.harmonize')}."
            )

    @property
    def effects(self) -> Combat:
        """Those of volumes that are not smoothed."""
        return self.combats[0.0]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """What identifies each row [N]."""
        pairs = zip(self.source.digests, self.sites, strict=True)
        return tuple(digest_json(["harmonized", each, site, self.effects.digest]) for each, site in pairs)

    def smoothed(self, share: float) -> "Applied":
        """Return the same volumes smoothed, without the effects that were fitted to such; themselves for 0."""
        return Applied(self.source.smoothed(share), self.sites, {0.0: self.combats[share]}) if share else self
