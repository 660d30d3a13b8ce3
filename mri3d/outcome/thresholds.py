"""From probabilities to a class, when that is not the most probable one; and other prevalences of the classes."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri3d.arguments import fits, plain
from mri3d.errors import UserError, did_you_mean, option
from mri3d.outcome.held_out import HeldOut, nine_digits
from mri3d.texts import list_text, parameter_text

KINDS = "a probability such as 0.3, balanced, youden, {sensitivity: 0.9} or {specificity: 0.9}"
_SUM = 1e-6  # how far from 1 prevalences may add up to


@dataclass(frozen=True)
class Threshold:
    """The class whose probability is largest relative to its floor; of two, the second from its floor on.

    Attributes:
        floors: Of each of the K classes.
        text: What the prediction is: "M from a probability of 0.3 on, else F".
        reason: How the floors came about; empty where they were given.
    """

    floors: tuple[float, ...]
    text: str
    reason: str = ""

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the index of the class of each row of probabilities [N, K], as many digits as tables show: int64 [N].

        >>> Threshold((0.7, 0.3), "").decide(np.array([[0.7, 0.3], [0.71, 0.29]])).tolist()
        [1, 0]
        """
        if len(self.floors) == 2:
            return (nine_digits(probabilities[:, 1]) >= self.floors[1]).astype(np.int64)
        return np.asarray((probabilities / self.floors).argmax(axis=1))


def shifted(probabilities: np.ndarray, shares: np.ndarray, prevalence: np.ndarray) -> np.ndarray:
    """Move probabilities from how frequent the classes were to how frequent they are (Bayes).

    Args:
        probabilities: [..., K].
        shares: What they hold for, [..., K] or [K].
        prevalence: What they are to hold for, [K].

    >>> shifted(np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([0.9, 0.1])).tolist()
    [0.9, 0.1]
    """
    weighed = probabilities * (prevalence / shares)
    return np.asarray(weighed / weighed.sum(axis=-1, keepdims=True))


def youden(scores: np.ndarray, positive: np.ndarray, *, near: float) -> float:
    """Find the threshold with the largest sum of sensitivity and specificity (Youden 1950).

    Args:
        scores: Probability of the positive class of each row [N].
        positive: Whether it is of that class, bool [N]; both kinds are there.
        near: Of several that are equally good, the one next to this is taken.

    Returns:
        Half way between the two neighbouring scores that it parts.

    Raises:
        ValueError: None is better than chance.
    """
    found = np.unique(scores)
    sensitivity = 1 - np.searchsorted(np.sort(scores[positive]), found) / positive.sum()  # a score on its own is in
    specificity = np.searchsorted(np.sort(scores[~positive]), found) / (~positive).sum()
    gains = sensitivity + specificity - 1
    if not gains.max() > 1e-9:
        raise ValueError("no threshold parts the classes better than chance")
    best = np.flatnonzero(np.isclose(gains, gains.max(), rtol=0, atol=1e-9))
    cuts = (found[best] + found[best - 1]) / 2  # the lowest score is never best: everybody would be positive
    return float(cuts[np.abs(cuts - near).argmin()])


def threshold_of(
    given: object, names: Sequence[str], *, shares: Callable[[], np.ndarray], steered: Callable[[], HeldOut]
) -> Threshold:
    """Resolve a threshold that a user asks for.

    Args:
        given: A probability, "balanced", "youden", or a wanted sensitivity or specificity by its name.
        names: Of the K classes.
        shares: Returns how frequent they are [K], as the probabilities have it; not every threshold needs it.
        steered: Returns rows that the models did not learn from; likewise.

    Raises:
        UserError: It is none of these, or does not suit the classes or the rows.
    """
    given = plain(given)
    if given == "balanced":
        return _balanced(names, shares())
    wanted = dict(given) if isinstance(given, Mapping) else {}
    kind = next(iter(wanted), None)
    by_rate = len(wanted) == 1 and kind in ("sensitivity", "specificity")
    if not (fits(given, float) or given == "youden" or by_rate):
        close = did_you_mean(given, ["balanced", "youden"]) if isinstance(given, str) else ""
        raise UserError(f"{option('threshold', given)} is no threshold.{close} Give {KINDS}.")
    if len(names) != 2:
        raise UserError(
            f"{option('threshold', given)} is for two classes, and the model tells {len(names)} apart. Give "
            f"{option('threshold', 'balanced')}, or leave it out: then the most probable class is predicted."
        )
    if isinstance(given, int | float):
        if not 0 < given < 1:
            raise UserError(
                f"{option('threshold', given)} is no probability between 0 and 1, from which on {names[1]!r} is "
                "predicted. Give one such as 0.3."
            )
        return _of_two(float(given), names)
    rate: Any = wanted.get(kind)
    if by_rate and (not fits(rate, float) or not 0 < rate <= 1):
        raise UserError(f"{option('threshold', given)}: {kind} is no share between 0 and 1. Give one such as 0.9.")
    return _chosen(given, names, shares, steered())


def _balanced(names: Sequence[str], shares: np.ndarray) -> Threshold:
    """Hold the probability of each class against how frequent it is."""
    if len(names) == 2:
        return _of_two(float(shares[1]), names, f"balanced: {names[1]} is that frequent")
    told = ", ".join(f"{name} {parameter_text(float(share))}" for name, share in zip(names, shares, strict=True))
    text = f"the class that is most probable relative to how frequent it is ({told})"
    return Threshold(tuple(map(float, shares)), text, "balanced")


def _chosen(given: object, names: Sequence[str], shares: Callable[[], np.ndarray], steered: HeldOut) -> Threshold:
    """Choose the threshold of two classes by rows that the models did not learn from."""
    scores, positive = nine_digits(steered.predictions[:, 1]), steered.targets == 1
    if not 0 < positive.sum() < len(positive):
        raise UserError(
            f"{option('threshold', given)} needs predictions of scans that training held out, and there are "
            f"{_counts(names, positive)}. Give a probability such as 0.3, or balanced."
        )
    if isinstance(given, Mapping):
        ((kind, rate),) = given.items()
        threshold = _at_rate(scores[positive == (kind == "sensitivity")], rate, highest=kind == "sensitivity")
    else:
        try:
            threshold = youden(scores, positive, near=float(shares()[1]))
        except ValueError:
            raise UserError(
                f"{option('threshold', given)}: no threshold parts the classes better than chance on what training "
                f"held out ({_counts(names, positive)} predictions). Give a probability, or balanced."
            ) from None
    reached = (scores[positive] >= threshold).mean(), (scores[~positive] < threshold).mean()
    asked = given if isinstance(given, str) else f"{kind} {parameter_text(rate)}"
    reason = (
        f"{asked}: sensitivity {reached[0]:.2f} and specificity {reached[1]:.2f} on what training held out, "
        f"{_counts(names, positive)} predictions"
    )
    return _of_two(threshold, names, reason)


def _at_rate(scores: np.ndarray, rate: float, *, highest: bool) -> float:
    """Find the threshold that a share of the scores of one class [N] is on the right side of, and hardly more.

    Args:
        scores: Of the positive class for the highest threshold, of the negative one for the lowest.
        rate: The share.
        highest: Which of the two; the lowest lies next to a score, as that is to be below it.
    """
    num = math.ceil(round(rate * len(scores), 9))
    ordered = np.sort(scores)
    return float(ordered[len(scores) - num]) if highest else float(np.nextafter(ordered[num - 1], np.inf))


def _of_two(threshold: float, names: Sequence[str], reason: str = "") -> Threshold:
    text = f"{names[1]} from a probability of {parameter_text(threshold)} on, else {names[0]}"
    return Threshold((1 - threshold, threshold), text, reason)


def _counts(names: Sequence[str], positive: np.ndarray) -> str:
    """Count rows of two classes: "12 F and 9 M"."""
    return f"{int((~positive).sum())} {names[0]} and {int(positive.sum())} {names[1]}"


def prevalence_of(given: object, names: Sequence[str]) -> dict[str, float]:
    """Resolve how frequent a user says that each class is, by its name, in the order of the classes.

    Args:
        given: A number for the second of two classes, or one for each class by its name.
        names: Of the K classes.

    Raises:
        UserError: It is neither, or they are no shares that add up to 1.
    """
    value, of_two = plain(given), len(names) == 2
    where, braces = option("prevalence", value), "{" + ", ".join(f"{name}: ..." for name in names[:5]) + "}"
    one = f"a number such as 0.1, how frequent {names[1]!r} is, or " if of_two else ""
    right = f"Give {one}a share for each of the {len(names)} classes, together 1: {braces}."
    if fits(value, float) and of_two:
        shares = {names[0]: 1 - value, names[1]: value}
    elif isinstance(value, Mapping):
        shares = {_class_of(key, names): share for key, share in value.items()}
    else:
        raise UserError(f"{where} does not say how frequent each class is. {right}")
    if unknown := [name for name in shares if name not in names]:
        told = f"{unknown[0]!r}, no class of this model.{did_you_mean(unknown[0], names)}"
        raise UserError(f"{where} names {told} {right}")
    if missing := [name for name in names if name not in shares]:
        raise UserError(f"{where} does not name {list_text(missing, ', ')}. {right}")
    if not all(fits(share, float) and 0 < share < 1 for share in shares.values()):
        raise UserError(f"{where}: how frequent a class is, is a number between 0 and 1. {right}")
    if abs(sum(shares.values()) - 1) > _SUM:
        raise UserError(f"{where} adds up to {parameter_text(float(sum(shares.values())))}. {right}")
    return {name: float(shares[name]) for name in names}


def _class_of(key: object, names: Sequence[str]) -> str:
    """Return the class that a key names; YAML takes `true` and `null` for something else than a name."""
    if key is None or isinstance(key, bool):
        word = json.dumps(key)
        return next((name for name in names if name.casefold() == word), word)
    return str(key)
