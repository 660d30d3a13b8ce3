"""From what the members of a model predict of a scan to what users are told: prevalence, threshold, coverage."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np

from mri3d.arguments import fits, plain
from mri3d.errors import UserError, option
from mri3d.model_card import printable
from mri3d.model_folder import Card
from mri3d.outcome import HeldOut, Outcome, Region, num_needed, shifted
from mri3d.texts import list_text, number_text, parameter_text

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class DecisionRule:
    """What was asked of predictions, resolved against the cards of the members that vote; nothing unless it was.

    Attributes:
        outcome: What is predicted, with the threshold where one was asked for.
        prevalence: What the probabilities are moved to, [K]; None where they stay.
        shares: What those of each of M members hold for, [M, K]; None where they stay.
        coverage: How often the truth is to lie in a set or an interval; None where there is none.
        calibration: Position of each member whose tests say how large that must be, with the tests.
        asked: The options that were given, as JSON; equal where they mean the same.
        facts: What they came to, by name, for the log and the page.
    """

    outcome: Outcome
    prevalence: np.ndarray | None = None
    shares: np.ndarray | None = None
    coverage: float | None = None
    calibration: tuple[tuple[int, HeldOut], ...] = ()
    asked: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cards: Sequence[Card], *, prevalence: object, threshold: object, coverage: object) -> Self:
        """Resolve options; None stands for each that was not given.

        Args:
            cards: Of the members, which agree in the outcome.
            prevalence: A number for the second of two classes, or a number for each class by its name.
            threshold: See `mri3d.outcome.thresholds.threshold_of`.
            coverage: A number between 0 and 1.

        Raises:
            UserError: An option is none of these, the outcome has none, or the cards do not keep what it needs.
        """
        outcome, asked, facts = cards[0].outcome, dict[str, Any](), dict[str, str]()
        wanted = shares = None
        calibration: tuple[tuple[int, HeldOut], ...] = ()
        if prevalence is not None:
            named = outcome.options.prevalence(prevalence)
            wanted, shares = np.array(list(named.values())), _shares(cards, option("prevalence", plain(prevalence)))
            asked["prevalence"] = wanted.tolist()
            facts["prevalence"] = ", ".join(f"{name} {parameter_text(share)}" for name, share in named.items())
        if threshold is not None:
            where = option("threshold", plain(threshold))
            chosen = outcome.options.threshold(
                threshold,
                shares=lambda: _shares(cards, where).mean(axis=0) if wanted is None else wanted,
                steered=lambda: _steered(cards, wanted, where),
            )
            outcome, asked["threshold"] = outcome.deciding(chosen), plain(threshold)
            facts["threshold"] = chosen.text + (f" ({chosen.reason})" if chosen.reason else "")
        if coverage is not None:
            asked["coverage"] = taken = _coverage(coverage)
            calibration = _calibration(cards, taken)
            told = outcome.options.region_method(len(calibration))
            more = " of the first repeat" if len({card.repeat for card in cards}) > 1 else ""
            num_rows = sum(len(tests.targets) for _, tests in calibration)
            facts["coverage"] = f"{parameter_text(taken)} by {told}{more} ({number_text(num_rows, 'tested scan')})"
        return cls(outcome, wanted, shares, asked.get("coverage"), calibration, asked, facts)

    def moved(self, predictions: np.ndarray) -> np.ndarray:
        """Move the predictions of M members for a scan, [M, K] or [M], to the prevalence."""
        if self.prevalence is None or self.shares is None:
            return predictions
        return shifted(predictions, self.shares, self.prevalence)

    def region(self, predictions: np.ndarray) -> Region | None:
        """Find where the truth lies by the members' predictions, [M, K] or [M], as they were before they were moved."""
        if self.coverage is None:
            return None
        places, tests = [place for place, _ in self.calibration], [test for _, test in self.calibration]
        return self.outcome.options.region(predictions[places], tests, self.coverage)


def _shares(cards: Sequence[Card], needed_by: str) -> np.ndarray:
    """Return how frequent the classes were in the training of each member, [M, K]."""
    return np.array([_kept(card, card.shares, needed_by, "record of how frequent its classes were") for card in cards])


def _steered(cards: Sequence[Card], prevalence: np.ndarray | None, needed_by: str) -> HeldOut:
    """Pool what the members predicted of rows that they had not learnt from, moved to a prevalence if one was given."""
    what = "predictions of scans that training held out"
    sides = [_kept(card, card.steered, needed_by, what) for card in cards]
    predictions = [side.predictions for side in sides if len(side.targets)]
    if prevalence is not None:
        shares = [card.shares for card, side in zip(cards, sides, strict=True) if len(side.targets)]
        predictions = [shifted(*pair, prevalence) for pair in zip(predictions, map(np.array, shares), strict=True)]
    none = np.empty((0, len(cards[0].outcome.words.value_titles())))
    return HeldOut(np.concatenate([side.targets for side in sides]), np.concatenate([none, *predictions]))


def _coverage(given: object) -> float:
    """Check a coverage."""
    value: Any = plain(given)
    if not fits(value, float) or not 0 < value < 1:
        raise UserError(f"{option('coverage', value)} is no share between 0 and 1. Give one such as 0.9.")
    return float(value)


def _calibration(cards: Sequence[Card], coverage: float) -> tuple[tuple[int, HeldOut], ...]:
    """Choose the tests that sets and intervals are made from: of several repeats the first, so that each counts once.

    Raises:
        UserError: There are too few, or the model folder keeps none.
    """
    where = option("coverage", coverage)
    tests = [_kept(card, card.tested, where, "predictions of its tested scans") for card in cards]
    first, outcome = min(card.repeat for card in cards), cards[0].outcome
    used = tuple(
        (place, mine)
        for place, (card, mine) in enumerate(zip(cards, tests, strict=True))
        if card.repeat == first and len(mine.targets)
    )
    if not used:
        raise UserError(
            f"{where} needs scans that the model was tested on, and it was trained on all there were. Use a model of "
            "evaluation=kfold or holdout (in Python, the model of `evaluate`), or leave it out."
        )
    counts = _counts(outcome, [mine for _, mine in used])
    needed, fewest = num_needed(coverage), min(counts.values())
    if fewest < needed:
        there = list_text([f"{number} of {name}" if name else str(number) for name, number in counts.items()], ", ")
        most = math.floor(100 * fewest / (fewest + 1)) / 100
        possible = f"Give {parameter_text(most)} or less, or" if fewest else "Use"
        raise UserError(
            f"{where} needs {needed} tested scans{' of each class' if len(counts) > 1 else ''}, and there are {there}. "
            f"{possible} a model that more scans were tested with, as by evaluation=kfold."
        )
    return used


def _counts(outcome: Outcome, tests: Sequence[HeldOut]) -> Mapping[str, int]:
    return outcome.options.num_rows(np.concatenate([test.targets for test in tests]))


def _kept(card: Card, entry: T | None, needed_by: str, what: str) -> T:
    """Return what a card keeps.

    Raises:
        UserError: An earlier version wrote it, which kept no such thing.
    """
    if entry is None:
        writer = card.facts.get("mri3d")
        by = f"mri3d {printable(writer, length=40)}" if writer else "an earlier version of mri3d"
        raise UserError(
            f"{needed_by} cannot be used: this model was written by {by}, which kept no {what}. Train it again."
        )
    return entry
