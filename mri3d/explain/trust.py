"""Whether maps of a network can be trusted: held against those of the same network with its weights shuffled.

A map can look like anatomy and tell nothing: that of a network that has learnt nothing looks as bright (Adebayo et al.
2018). So each map is tested twice. Weights are shuffled layer by layer, from the outputs to the voxels: the map must
change. And what it calls evidence is taken out of volumes and put into average ones: the explained number must change
sooner than in random order, and sooner than in the order of a map of the shuffled network.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np

from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.faithfulness import gains

NUM_SCANS = 6
"""How many scans are enough for the short form: of 2^6 ways to draw signs the best is p = 0.016."""

MIN_SCANS = 5
CASCADE = (0.25, 0.5, 0.75, 1.0)
"""Shares of the layers whose weights are shuffled, from the outputs on."""

NUM_CASCADED = 3
"""Scans whose maps are compared along the cascade: they differ little in that."""

SIMILAR = 0.5
"""A map that is as like the map of a network without weights does not show what the network learnt."""

FAINT = 0.05
"""Share of a map's strongest value."""

LEVEL = 0.05

NO_BETTER_THAN_CHANCE = "The model predicts no better than chance, so its evidence tells nothing."
"""Of maps that may well show what a model goes by."""


class Examined(Protocol):
    """A network whose maps are examined."""

    def explain(self, asked: Question, *, baseline: np.ndarray) -> Evidence:
        """Map the evidence in a volume."""

    def contrasted(self, asked: Question) -> Contrasted:
        """Return the network as the number that is explained."""

    def shuffled(self, share: float) -> "Examined":
        """Return another with the weights of the last layers shuffled within each layer: a share of all layers."""


@dataclass(frozen=True)
class Trust:
    """What the examination of the maps of a network found.

    Attributes:
        method: The way to explain, see `mri3d.explain.evidence.KINDS`.
        num_scans: How many scans were examined.
        gain: By how much the explained number changes sooner than in random order, where what the map calls evidence
            is taken out and put in: mean over scans, in the unit of the number, see `faithfulness.gains`.
        gain_shuffled: The same by maps of the network with shuffled weights.
        p: That `gain` exceeds both 0 and `gain_shuffled` by chance: the larger one of two tests over scans by signs.
        similarity: Correlation between the strength of the map and that of the network with shuffled weights, for
            each share of the layers of `CASCADE`; mean over scans.
        agreement: Correlation between the maps of models of different folds; None of one.
    """

    method: str
    num_scans: int
    gain: float
    gain_shuffled: float
    p: float
    similarity: tuple[float, ...]
    agreement: float | None = None

    @property
    def trusted(self) -> bool | None:
        """Whether the map tells more than one without learnt weights; None where the scans are too few to say so."""
        if self.num_scans < MIN_SCANS:
            return None
        return self.p <= LEVEL and self.similarity[-1] < SIMILAR

    @property
    def reason(self) -> str:
        """Say in a sentence why."""
        if self.trusted is None:
            return f"{self.num_scans} scans are too few to tell whether the maps can be trusted."
        if self.p > LEVEL:
            return (
                "What these maps call evidence decides no more than what a network with shuffled weights calls so "
                f"(p {self.p:.2g}, {self.num_scans} scans)."
            )
        if self.similarity[-1] >= SIMILAR:
            return (
                "These maps look much the same where all weights are shuffled (correlation "
                f"{self.similarity[-1]:.2f}): they show the scan more than what the network learnt."
            )
        return (
            "Taking out what these maps call evidence changes the prediction sooner than chance, and than maps of the "
            f"network with shuffled weights, do (p {self.p:.2g}, {self.num_scans} scans)."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types, with the verdict."""
        return {**asdict(self), "similarity": list(self.similarity), "trusted": self.trusted, "reason": self.reason}


def examine(network: Examined, questions: Sequence[Question], *, baseline: np.ndarray) -> Trust:
    """Examine the maps of a network.

    Args:
        network: The network.
        questions: About scans that it did not learn from, all by one method.
        baseline: The average of the training volumes [C, X, Y, Z].
    """
    learnt, shuffled, similarities = [], [], []
    cascade = [network.shuffled(share) for share in CASCADE]
    for seed, asked in enumerate(questions):
        found = network.explain(asked, baseline=baseline).values
        others = cascade if seed < NUM_CASCADED else cascade[-1:]
        without = [other.explain(asked, baseline=baseline).values for other in others]
        if seed < NUM_CASCADED:
            similarities.append([likeness(np.abs(found), np.abs(other)) for other in without])
        gained = gains(
            network.contrasted(asked).numbers, asked.volume, [found, without[-1]], baseline=baseline, seed=seed
        )
        learnt.append(gained[0])
        shuffled.append(gained[1])
    gain, other = np.array(learnt), np.array(shuffled)
    p = max(sign_test(gain), sign_test(gain - other))
    return Trust(
        questions[0].method.name,
        len(questions),
        float(gain.mean()),
        float(other.mean()),
        p,
        tuple(np.mean(similarities, axis=0).tolist()),
    )


def with_agreement(trust: Trust, maps: Sequence[Sequence[np.ndarray]]) -> Trust:
    """Add how far the models of several folds agree.

    Args:
        trust: Of one of them.
        maps: For each scan the map of each model [X, Y, Z].
    """
    pairs = [
        likeness(of_scan[i], of_scan[j])
        for of_scan in maps
        for i in range(len(of_scan))
        for j in range(i + 1, len(of_scan))
    ]
    return replace(trust, agreement=float(np.mean(pairs))) if pairs else trust


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlate two maps where one of them is not faint; 0 without a spread.

    Where both are faint, as around a brain, they are alike whatever they show elsewhere.
    """
    either = np.logical_or(*(np.abs(values) > FAINT * np.abs(values).max() for values in (one, other)))
    left, right = one[either], other[either]
    if not left.size or not np.ptp(left) or not np.ptp(right):
        return 0.0
    return float(np.corrcoef(left, right)[0, 1])


def sign_test(values: np.ndarray) -> float:
    """Compute how often a mean as large comes about where signs are drawn anew [N], one-sided, over all ways."""
    if len(values) > 12:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4096, len(values)))
        signs[0] = 1.0
    else:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
    return float((signs @ values >= values.sum() - 1e-12 * np.abs(values).sum()).mean())
