"""ComBat: the location and the scale that each site gives to every voxel, estimated without any label.

A handful of volumes says little of a single voxel, so that is drawn towards what the site shows over all voxels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mri3d.errors import UserError
from mri3d.files import digest, digest_json
from mri3d.texts import number_text
from mri3d.volumes.sequence import VolumeSequence

FEWEST, FEWEST_OF_NEW = 3, 5
"""Sessions of a site that is fitted with others, and of one that is not: its own effect rests on them alone."""

_BLOCK_BYTES = 2**27
_BLOCK_VOXELS = 65_536
_CONVERGED, _MOST_STEPS = 1e-9, 1000


@dataclass(frozen=True, eq=False)
class Combat:
    """The effects of sites on voxels by ComBat without covariates, with parametric priors.

    Johnson, Li and Rabinovic (2007), Adjusting batch effects in microarray expression data using empirical Bayes
    methods; of images Fortin and others (2017, 2018), both in NeuroImage. A voxel is taken for mean + deviation *
    (gamma + noise), where the noise of a site has the variance delta. Without its site it is mean + deviation * noise /
    sqrt(delta). The equations are solved until nothing changes any more, where others stop at 0.0001.

    Attributes:
        sites: Names of the sites [S].
        mean: Mean of each voxel over the volumes that were fitted, float32 [V].
        deviation: Its standard deviation within sites, pooled, float32 [V]; 0 where it is constant within each.
        gamma: What each site adds, in deviations, float32 [S, V]; where these are 0, in intensities.
        delta: What each site multiplies the variance by, float32 [S, V].
    """

    sites: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    gamma: np.ndarray
    delta: np.ndarray

    @classmethod
    def fit(cls, volumes: VolumeSequence, sites: Sequence[str | None], rows: np.ndarray) -> Self:
        """Estimate the effects; a voxel that is the same in all rows has none.

        Args:
            volumes: Of the whole cohort, read block by block.
            sites: Where each was scanned [N].
            rows: Which are fitted, at least three of each of their sites; no other row is read.
        """
        site_of_row = np.array([str(sites[row]) for row in rows])
        names = sorted(set(site_of_row.tolist()))
        members = [np.flatnonzero(site_of_row == name) for name in names]
        counts, num_voxels = np.array([len(each) for each in members])[:, None], int(np.prod(volumes.shape))
        assert counts.min() >= FEWEST, "fewer sessions of a site are refused before"
        mean, deviation = np.empty((2, num_voxels), dtype=np.float32)
        gamma, delta = np.empty((2, len(names), num_voxels), dtype=np.float32)
        for voxels, block in _blocks(volumes, rows):
            means, squares = _moments(block, members)
            grand, pooled = (counts * means).sum(axis=0) / len(rows), np.sqrt(squares.sum(axis=0) / len(rows))
            mean[voxels], deviation[voxels] = grand, pooled
            gamma[:, voxels], delta[:, voxels] = _estimates(means, squares, counts, grand, pooled)
        for number, count in enumerate(counts[:, 0].tolist()):
            _shrink(gamma[number], delta[number], count, deviation > 0)
        return cls(tuple(names), mean, deviation, gamma, delta)

    def new_site(self, site: str, volumes: VolumeSequence, rows: np.ndarray) -> Self:
        """Return the same effects with those of a site that was not fitted, by its own volumes.

        Mean and deviation stay. Location and scale of the site are held against them, with priors of its own voxels, as
        those of any other site are.

        Args:
            site: Its name.
            volumes: Made as those that were fitted.
            rows: Which of them are the site's.

        Raises:
            UserError: There are fewer than five.
        """
        if len(rows) < FEWEST_OF_NEW:
            told = f"site {site!r} was not learnt from and has {number_text(len(rows), 'session')}"
            raise UserError(f"{told}. Its effect can be estimated from {FEWEST_OF_NEW} or more: add sessions.")
        gamma, delta = np.empty((2, 1, len(self.mean)), dtype=np.float32)
        for voxels, block in _blocks(volumes, rows):
            means, squares = _moments(block, [np.arange(len(rows))])
            mean, deviation = (each[voxels].astype(np.float64) for each in (self.mean, self.deviation))
            gamma[:, voxels], delta[:, voxels] = _estimates(means, squares, np.array([[len(rows)]]), mean, deviation)
        gamma[:, (self.deviation == 0) & ~self.gamma.any(axis=0)] = 0  # the same in all rows that were fitted
        _shrink(gamma[0], delta[0], len(rows), self.deviation > 0)
        grown = np.concatenate([self.gamma, gamma]), np.concatenate([self.delta, delta])
        return type(self)((*self.sites, site), self.mean, self.deviation, *grown)

    def adjusted(self, block: np.ndarray, sites: Sequence[str | None], voxels: slice) -> np.ndarray:
        """Return voxels without the effects of sites; those of a site that is not known stay as they are.

        Args:
            block: The same voxels of several volumes, float32 [N, voxels].
            sites: Where each volume was scanned [N].
            voxels: Which they are.
        """
        mean, deviation, found = self.mean[voxels], self.deviation[voxels], np.array(block, dtype=np.float32)
        unit = np.where(deviation > 0, deviation, np.float32(1))
        for number, site in enumerate(self.sites):
            mine = [row for row, each in enumerate(sites) if each == site]
            if mine:
                shift, widened = self.gamma[number, voxels] * unit, 1 / np.sqrt(self.delta[number, voxels]) - 1
                for row in mine:
                    found[row] -= shift
                    found[row] += widened * (found[row] - mean)  # so it is exact where there is no effect
        return found

    @cached_property
    def digest(self) -> str:
        """What identifies the effects."""
        arrays = [np.ascontiguousarray(array).data.cast("B") for array in self.tensors().values()]
        return digest_json([self.sites, digest(*arrays)])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what a model folder keeps beside the names of the sites."""
        arrays = {"mean": self.mean, "deviation": self.deviation, "gamma": self.gamma, "delta": self.delta}
        return {f"harmonization.{name}": array for name, array in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], sites: Sequence[str]) -> Self:
        """Build it again from what a model folder kept.

        Raises:
            ValueError: The arrays do not fit the sites or each other, or hold what no fit gives.
        """
        names = ("mean", "deviation", "gamma", "delta")
        mean, deviation, gamma, delta = (tensors[f"harmonization.{name}"] for name in names)
        one, all_sites = (mean.size,), (len(sites), mean.size)
        if [each.shape for each in (mean, deviation, gamma, delta)] != [one, one, all_sites, all_sites]:
            raise ValueError(f"the effects are not those of {number_text(len(sites), 'site')}")
        finite = all(np.isfinite(each).all() for each in (mean, deviation, gamma, delta))
        if not finite or (delta <= 0).any() or (deviation < 0).any():
            raise ValueError("the effects of sites are not finite, or a variance is below 0")
        return cls(tuple(sites), mean, deviation, gamma, delta)


def _blocks(volumes: VolumeSequence, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Read some volumes block by block, float64 [M, voxels], in bounded memory."""
    num_voxels, length = int(np.prod(volumes.shape)), max(1, min(_BLOCK_VOXELS, _BLOCK_BYTES // (16 * len(rows))))
    for start in range(0, num_voxels, length):
        voxels = slice(start, min(start + length, num_voxels))
        yield voxels, volumes.block(rows, voxels).astype(np.float64)


def _moments(block: np.ndarray, members: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sum of squares about it of each site [S, V]; the latter is 0 where only rounding differs."""
    means = np.stack([block[each].mean(axis=0) for each in members])
    squares = np.stack([np.square(block[each] - mean).sum(axis=0) for each, mean in zip(members, means, strict=True)])
    counts = np.array([len(each) for each in members])[:, None]
    return means, np.where(np.sqrt(squares / counts) > _rounding(counts, means), squares, 0.0)


def _estimates(
    means: np.ndarray, squares: np.ndarray, counts: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return gamma and delta of sites [S, V] as each voxel has them by itself."""
    unit, apart = np.where(deviation > 0, deviation, 1.0), means - mean
    apart[np.abs(apart) <= _rounding(counts.sum(), mean)] = 0.0
    return apart / unit, np.where(deviation > 0, squares / (counts - 1) / unit**2, 1.0)


def _rounding(number: int | np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.asarray(number * np.finfo(np.float64).eps * np.abs(mean))


def _shrink(gamma: np.ndarray, delta: np.ndarray, count: int, varies: np.ndarray) -> None:
    """Replace a site's estimates [V] by their posterior means, where voxels vary, in place."""
    if not varies.any():
        return
    variances = delta[varies].astype(np.float64)
    variances[variances == 0] = 1.0  # as published: where a site has no variance, it says nothing of it
    delta_mean, delta_spread = float(variances.mean()), _variance(variances)
    gamma_mean, gamma_spread = float(gamma[varies].mean(dtype=np.float64)), _variance(gamma[varies].astype(np.float64))
    delta_spread = max(delta_spread, 1e-12 * delta_mean**2)  # voxels that agree leave no doubt, and no division by 0
    shape, rate = 2 + delta_mean**2 / delta_spread, delta_mean + delta_mean**3 / delta_spread
    for start in range(0, len(gamma), _BLOCK_VOXELS):
        here = start + np.flatnonzero(varies[start : start + _BLOCK_VOXELS])
        location, scale = gamma[here].astype(np.float64), delta[here].astype(np.float64)
        found, change = np.where(scale == 0, 1.0, scale), np.inf
        for _ in range(_MOST_STEPS):
            shrunk = (gamma_spread * count * location + found * gamma_mean) / (gamma_spread * count + found)
            squares = (count - 1) * scale + count * np.square(location - shrunk)
            before, found = found, (squares / 2 + rate) / (count / 2 + shape - 1)
            change = np.max(np.abs(found - before) / before, initial=0.0)
            if change < _CONVERGED:
                break
        gamma[here], delta[here] = shrunk, found


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
