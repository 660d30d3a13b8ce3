"""Whether maps of a network can be trusted: held against those of the same network with its weights shuffled.

A map can look like anatomy and tell nothing: that of a network that has learnt nothing looks as bright (Adebayo et al.
2018). So each map is tested twice. Weights are shuffled layer by layer, from the outputs to the voxels: the map must
change. And what it calls evidence is taken out of volumes and put into average ones: the explained number must change
sooner than in random order, and sooner than in the order of a map of the shuffled network.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np

from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.faithfulness import Curves, curves_of
from mri3d.volumes.reference import Reference

NUM_SCANS = 6
"""How many scans are enough for the short form: of 2^6 ways to draw signs the best is p = 0.016."""

MIN_SCANS = 5

SIMILAR = 0.5
"""A map that is as like the map of a network without weights does not show what the network learnt."""

FAINT = 0.05
"""Share of a map's strongest value."""

LEVEL = 0.05

NO_BETTER_THAN_CHANCE = "The model predicts no better than chance, so its evidence tells nothing."
"""Of maps that may well show what a model goes by."""

_WHAT_IT_COMPUTES = "These maps are what the model computes: its decision is a weighted sum of the voxels."
_OF_PATTERNS = "These maps show which voxels go with the decision over the training scans, not which ones decide."


@dataclass(frozen=True)
class Form:
    """How thoroughly maps are examined.

    Attributes:
        steps: In how many steps the weights of ever more layers are shuffled; at most one for each layer.
        num_cascaded: Scans whose maps are compared along the cascade: they differ little in that. Those of the others
            are compared at its end.
        linear: Whether the number is followed in the order of the maps of linear models too.
    """

    steps: int
    num_cascaded: int
    linear: bool


SHORT = Form(steps=4, num_cascaded=3, linear=False)
"""Of every run of a network."""

LONG = Form(steps=8, num_cascaded=6, linear=True)
"""Of `mri3d trust`, for the model of each fold."""


class Contrasted(Protocol):
    """A model as the number that is explained."""

    def numbers(self, volumes: np.ndarray) -> np.ndarray:
        """Compute the numbers [B] of volumes [B, C, X, Y, Z]."""


class Explained(Protocol):
    """A model whose maps are followed."""

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Map the evidence in a volume."""

    def contrasted(self, asked: Question) -> Contrasted:
        """Return the model as the number that is explained."""


class Examined(Explained, Protocol):
    """A network whose maps are examined."""

    @property
    def num_layers(self) -> int:
        """How many layers have weights."""

    def shuffled(self, share: float) -> "Examined":
        """Return another with the weights of the last layers shuffled within each layer: a share of all layers."""


@dataclass(frozen=True, eq=False)
class MapTest:
    """What examining the map of one scan found.

    Attributes:
        curves: The explained number in the order of the map, and, of a network, of that of shuffled weights.
        similarity: Correlation between the strength of the map and that of the network with shuffled weights, for each
            step of a cascade, or at its end only; empty of a linear model.
    """

    curves: Curves
    similarity: tuple[float, ...]

    @property
    def gain(self) -> float:
        """By how much the number changes sooner than in random order, see `Curves.gains`."""
        return float(self.curves.gains[0])

    @property
    def gain_shuffled(self) -> float | None:
        """The same by the map of the network with shuffled weights; None of a linear model."""
        return float(self.curves.gains[1]) if self.similarity else None


@dataclass(frozen=True)
class Trust:
    """What the examination of the maps of a network found.

    Attributes:
        method: The way to explain, see `mri3d.explain.evidence.KINDS`.
        num_scans: How many scans were examined.
        gain: By how much the explained number changes sooner than in random order, where what the map calls evidence
            is taken out and put in: mean over scans, in the unit of the number, see `Curves.gains`.
        gain_shuffled: The same by maps of the network with shuffled weights; None of a linear model.
        p: That `gain` exceeds both 0 and `gain_shuffled` by chance: the larger one of two tests over scans by signs.
        similarity: Correlation between the strength of the map and that of the network with shuffled weights, for
            each step of a `Form`, of equal shares of the layers from the outputs on; mean over scans; empty of a linear
            model.
        agreement: Correlation between the maps of models of different folds; None of one.
        tests: What was found of each scan.
    """

    method: str
    num_scans: int
    gain: float
    gain_shuffled: float | None
    p: float
    similarity: tuple[float, ...]
    agreement: float | None = None
    tests: tuple[MapTest, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, method: str, tests: Sequence[MapTest]) -> Self:
        """Sum up what was found of one scan or more, all of models that are examined by one `Form`."""
        gain = np.array([test.gain for test in tests])
        steps, num_scans = max(len(test.similarity) for test in tests), len(tests)
        if not steps:
            return cls(method, num_scans, float(gain.mean()), None, sign_test(gain), (), tests=tuple(tests))
        other = np.array([test.gain_shuffled for test in tests])
        p = max(sign_test(gain), sign_test(gain - other))
        similarity = np.mean([test.similarity for test in tests if len(test.similarity) == steps], axis=0)
        similarity[-1] = np.mean([test.similarity[-1] for test in tests])
        told = tuple(similarity.tolist())
        return cls(method, num_scans, float(gain.mean()), float(other.mean()), p, told, tests=tuple(tests))

    @property
    def trusted(self) -> bool | None:
        """Whether the map tells more than one without learnt weights.

        None where the scans are too few to say so, and of linear models, whose maps are not in question.
        """
        if self.num_scans < MIN_SCANS or not self.similarity:
            return None
        return self.p <= LEVEL and self.similarity[-1] < SIMILAR

    @property
    def reason(self) -> str:
        """Say in a sentence why."""
        if not self.similarity:
            return _OF_PATTERNS if self.method == "pattern" else _WHAT_IT_COMPUTES
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
        told = asdict(replace(self, tests=())) | {"similarity": list(self.similarity)}
        del told["tests"]
        return {**told, "trusted": self.trusted, "reason": self.reason}


def examine(network: Examined, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust:
    """Examine the maps of a network.

    Args:
        network: The network.
        questions: About one scan or more that it did not learn from, all by one method; each is held only as long as it
            is examined.
        reference: What the training volumes look like.
        form: How thoroughly.
    """
    steps = max(1, min(form.steps, network.num_layers))  # one of no weights is left as it is, and so not trusted
    cascade = [network.shuffled(step / steps) for step in range(1, steps + 1)]

    def found(number: int, asked: Question) -> MapTest:
        others = cascade if number < form.num_cascaded else cascade[-1:]
        values = network.explain(asked, reference=reference).values
        without = [other.explain(asked, reference=reference).values for other in others]
        similarity = tuple(likeness(np.abs(values), np.abs(other)) for other in without)
        return MapTest(_curves(network, asked, [values, without[-1]], reference.mean, number), similarity)

    return _summed(questions, found)


def follow(model: Explained, questions: Iterable[Question], *, reference: Reference) -> Trust:
    """Follow the number that a linear model computes in the order of its maps; arguments as for `examine`."""

    def found(number: int, asked: Question) -> MapTest:
        values = model.explain(asked, reference=reference).values
        return MapTest(_curves(model, asked, [values], reference.mean, number), ())

    return _summed(questions, found)


def _summed(questions: Iterable[Question], found: Callable[[int, Question], MapTest]) -> Trust:
    """Examine one question after the other."""
    tests, method = [], ""
    for number, asked in enumerate(questions):
        tests.append(found(number, asked))
        method = asked.method.name
    return Trust.of(method, tests)


def _curves(model: Explained, asked: Question, maps: Sequence[np.ndarray], baseline: np.ndarray, seed: int) -> Curves:
    return curves_of(model.contrasted(asked).numbers, asked.volume, maps, baseline=baseline, seed=seed)


def with_agreement(trust: Trust, maps: Iterable[Sequence[np.ndarray]]) -> Trust:
    """Add how far the models of several folds agree.

    Args:
        trust: Of one of them.
        maps: For each scan the map of each model [X, Y, Z]; one scan's are held at a time.
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
    """Compute how often a mean as large comes about where signs are drawn anew [N], one-sided, over all ways.

    1 where a value is not finite, as of a network that overflows.
    """
    if not np.isfinite(values).all():
        return 1.0
    if len(values) > 12:
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(4096, len(values)))
        signs[0] = 1.0
    else:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(values))[:, None] >> np.arange(len(values))) & 1)
    return float((signs @ values >= values.sum() - 1e-12 * np.abs(values).sum()).mean())
