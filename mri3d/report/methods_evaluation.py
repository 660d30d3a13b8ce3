"""Sentences on the evaluation: who was tested by which model, how scores and intervals came about, and against what."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.outcome.score import SCORE_TITLES
from mri3d.report.references import (
    BATES,
    BOOSTING,
    COMBAT,
    COMBAT_OF_IMAGES,
    DELONG,
    FIGUEROA,
    HOLM,
    NADEAU,
    OBUCHOWSKI,
    PHIPSON,
    VOVK,
    WILSON,
    WOLPERT,
    Sentence,
)
from mri3d.report.run_facts import RunFacts, and_text, range_text
from mri3d.texts import number_text

_PROPORTIONS = (
    *("accuracy", "balanced_accuracy", "balanced_accuracy_at_prevalence", "f1", "sensitivity", "specificity"),
)
_LOSSES = ("log_loss", "brier")
_BOUNDED = "expected_calibration_error"  # what it is off by is bounded without resampling
_SCAN = {"scan": "how a scan compares with those of the training"}
_KFOLD = ("KFold", "Nested", "LearningCurve")


def splitting_sentences(facts: RunFacts) -> list[Sentence]:
    """Say who was learnt from and who was tested."""
    if not facts.folds:
        return []
    evaluation = facts.group("evaluation")
    found = [Sentence.of(text) for text in (_splitting(facts), size_sentence(facts))]
    if evaluation.get("splits"):
        found.append(Sentence.of("The test sets were those of another run."))
    elif facts.kind("evaluation") in ("Holdout", *_KFOLD):
        alike = and_text([facts.outcome.name, *facts.columns("evaluation", "balance")])
        found.append(Sentence.of(f"Sessions were dealt so that the sets are alike in {alike}."))
    return [*found, Sentence.of(together_sentence(facts)), *_near_copies(facts.metrics.get("leaks"))]


def _splitting(facts: RunFacts) -> str:
    """Name the way to split."""
    num_folds, kind = len(facts.folds), facts.kind("evaluation")
    if not facts.was_tested:
        return "The model was fitted to all sessions, and tested on none."
    if kind == "LeaveSiteOut":
        return (
            f"Each of {num_folds} sites was the test set once, for a model that was fitted to sessions of the others; "
            "whoever was scanned at the tested site too took no part in that fit."
        )
    if kind == "Column":
        column = facts.group("evaluation")["column"]
        if num_folds == 1:
            return f"Who was tested was fixed beforehand, in the column {column} of the table."
        return f"The {num_folds} folds were fixed beforehand, in the column {column} of the table."
    if num_folds == 1:
        return "One test set was held out."
    repeats = len({fold["repeat"] for fold in facts.folds})
    anew = f", which was repeated {repeats} times with sessions dealt anew" if repeats > 1 else ""
    return (
        f"The evaluation was a {num_folds // repeats}-fold cross-validation{anew}: each session was tested once"
        f"{' each time' if repeats > 1 else ''}, by a model that had not learnt from it."
    )


def together_sentence(facts: RunFacts) -> str:
    """Say who was never parted."""
    group = facts.group("data").get("group")
    together = f", or of one {group}," if group else ""
    return f"Sessions of one participant{together} were never on two sides of a split."


def size_sentence(facts: RunFacts) -> str:
    """Count the sessions on each side."""
    train, validation, test = (
        [fold[f"num_{side}"] for fold in facts.folds] for side in ("train", "validation", "test")
    )
    whose = "Each model learnt" if len(facts.folds) > 1 else "The model learnt"
    told = f"{whose} from {range_text(train)} sessions"
    if any(validation) and facts.is_network:
        told += f", with {range_text(validation)} further ones for validation"
    elif any(validation):  # others learn from these too
        told = (
            f"{whose} from {range_text([one + other for one, other in zip(train, validation, strict=True)])} sessions"
        )
    return f"{told}, and was tested on {range_text(test)}." if any(test) else f"{told}."


def _near_copies(leaks: Mapping[str, Any] | None) -> list[Sentence]:
    """Say what was found of near-copies across the sides of splits."""
    if not leaks:
        return []
    pairs = len(leaks["near_copies"])
    told = "Before any fit the volumes of all sessions were compared for near-copies of one head"
    if not pairs:
        return [Sentence.of(f"{told}; none was found.")]
    across = leaks["across"]
    parted = f"{across} of them on two sides of a split" if across else "none of them on two sides of a split"
    return [Sentence.of(f"{told}; {number_text(pairs, 'pair')} that may be such were found, {parted}.")]


def scoring_sentences(facts: RunFacts) -> list[Sentence]:
    """Say which scores there are, how their intervals were computed, and what they were held against."""
    if not facts.was_tested:
        return []
    names = list(facts.metrics["test"])
    found = [Sentence.of(f"The scores were {and_text([SCORE_TITLES.get(name, name) for name in names])}.")]
    if (facts.metrics.get("calibration") or {}).get("estimates"):
        found.append(
            Sentence.of("Calibration was described by the mean of predicted minus true, and by intercept and slope.")
        )
    return [*found, *interval_sentences(facts), *_associations(facts), *robustness_sentences(facts)]


def robustness_sentences(facts: RunFacts) -> list[Sentence]:
    """Say what else was tried and held against the result."""
    return [*_confounds(facts), *_harmonized(facts), *_curve(facts), *_strata(facts)]


def interval_sentences(facts: RunFacts) -> list[Sentence]:
    """Describe the 95 % intervals, see `mri3d.evaluation.intervals`, and the test against permuted labels."""
    names = list(facts.metrics["test"])
    return [*_intervals(facts, names), *_widening(facts), *_permutations(facts.metrics.get("permutation"))]


def _intervals(facts: RunFacts, names: Sequence[str]) -> list[Sentence]:
    """Describe how wide intervals are where a model stays as it is."""
    found = []
    if "auc" in names:
        if len(facts.folds) > 1:
            found.append(
                Sentence.of(
                    "For the AUC only sessions that were tested in the same fold were compared with each other."
                )
            )
        found.append(
            Sentence.of(
                "The 95 % interval of the AUC holds the values from which the observed one is not too far, by the "
                "variance of DeLong summed over participants and groups.",
                DELONG,
                OBUCHOWSKI,
            )
        )
    if proportions := [SCORE_TITLES[name] for name in _PROPORTIONS if name in names]:
        found.append(
            Sentence.of(
                f"Those of {and_text(proportions)} are score intervals as Wilson's, for the number of independent "
                "answers that would tell as much.",
                WILSON,
            )
        )
    others = [name for name in names if name not in ("auc", "auc_pooled", *_PROPORTIONS, _BOUNDED)]
    if others:
        losses = (
            ", and at least as wide as that of the accuracy tells" if any(name in names for name in _LOSSES) else ""
        )
        titles = and_text([SCORE_TITLES.get(name, name) for name in others])
        found.append(
            Sentence.of(
                f"Those of {titles} are made of the standard error (the larger one of a bootstrap with 2000 draws and "
                f"a jackknife, of whole participants and groups) and Student's distribution{losses}."
            )
        )
    return found


def _widening(facts: RunFacts) -> list[Sentence]:
    """Say by how much intervals are wider because folds share training sessions."""
    told = facts.metrics.get("intervals") or {}
    factor = told.get("widening", 1.0)
    if factor == 1.0 and not told.get("measured"):
        return []
    how, source = (
        ("a factor that was measured by further fits within the folds", BATES)
        if told.get("measured")
        else ("the factor of Nadeau and Bengio", NADEAU)
    )
    return [
        Sentence.of(
            f"As folds share training sessions, standard errors were multiplied by {how}, {factor:.2f}.", source
        )
    ]


def _permutations(test: Mapping[str, Any] | None) -> list[Sentence]:
    """Describe the permutation test."""
    if not test:
        return []
    told = (
        f"The scores were compared with those of {test['number']} permutations of the labels, within test folds and "
        "sites and between groups of equal size"
    )
    how = {
        "refitted": ("; the model was fitted anew for each", (PHIPSON,)),
        "fixed predictions": ("; the predictions stayed as they were", (PHIPSON,)),
        "folds combined": (
            "; the predictions stayed as they were, and p is twice the mean of the p of the folds",
            (PHIPSON, VOVK),
        ),
    }[test["method"]]
    return [Sentence.of(f"{told}{how[0]}.", *how[1])]


def _associations(facts: RunFacts) -> list[Sentence]:
    """Name what else was held against the outcome."""
    found = (facts.metrics.get("confounds") or {}).get("associations") or ()
    if not found:
        return []
    tests = and_text(list(dict.fromkeys(each["test"] for each in found)))
    return [
        Sentence.of(
            f"Whether {facts.outcome.name} goes with {and_text([each['name'] for each in found])} was tested "
            f"({tests}), with p adjusted for their number.",
            HOLM,
        )
    ]


def _confounds(facts: RunFacts) -> list[Sentence]:
    """Describe the analysis of confounds that was asked for."""
    analysis = facts.metrics.get("confounds") or {}
    if not analysis.get("columns"):
        return []
    told, cites = "by a linear model and by boosted trees", [BOOSTING]
    found = f"On the same folds {facts.outcome.name} was predicted from {and_text(analysis['columns'])} alone, {told}"
    if "both" in analysis["scores"]:
        found += "; from image and columns together, by stacking what the models say of sessions not learnt from"
        cites.append(WOLPERT)
    if "image_without_confounds" in analysis["scores"]:
        found += "; and from the image after a linear regression on the columns had been taken out of every voxel"
    return [Sentence.of(f"{found}.", *cites)]


def _harmonized(facts: RunFacts) -> list[Sentence]:
    """Describe ComBat."""
    if not facts.group("evaluation").get("harmonize"):
        return []
    found = [
        Sentence.of(
            "Location and scale of each site were taken out of every voxel by ComBat, fitted without labels to the "
            "sessions that each model learnt from; a site that was only tested had those of its own sessions.",
            COMBAT,
            COMBAT_OF_IMAGES,
        )
    ]
    if facts.metrics.get("harmonization"):
        found.append(
            Sentence.of(
                "What this changes was measured by the same fits to volumes as they are, for the true labels and for "
                "random ones, drawn from those of the same site."
            )
        )
    return found


def _curve(facts: RunFacts) -> list[Sentence]:
    """Describe the learning curve."""
    curve = facts.metrics.get("learning_curve")
    if not curve:
        return []
    shares = and_text([f"{100 * each:g} %" for each in curve["fractions"][:-1]])
    told = f"For a learning curve each model was fitted again to {shares} of the sessions that it learns from"
    if "law" not in curve:
        return [Sentence.of(f"{told}.")]
    return [Sentence.of(f"{told}, and a power law was fitted to the scores.", FIGUEROA)]


def _strata(facts: RunFacts) -> list[Sentence]:
    """Name what the tests were parted by."""
    members = (facts.metrics.get("strata") or {}).get("members") or ()
    variables = [_SCAN.get(name, name) for name in dict.fromkeys(each["variable"] for each in members)]
    return [Sentence.of(f"Scores were also computed by {and_text(variables)}.")] if variables else []
