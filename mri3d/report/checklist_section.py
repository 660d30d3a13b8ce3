"""The lists of TRIPOD+AI and CLAIM, filled in as far as a run knows."""

from collections.abc import Mapping, Sequence
from typing import Any

from mri3d.outcome.score import SCORE_TITLES, Score
from mri3d.report.checklist_items import CLAIM_ITEMS, TRIPOD_ITEMS, Item
from mri3d.report.elements import Html, details, element, table, with_interval
from mri3d.report.methods_evaluation import (
    interval_sentences,
    robustness_sentences,
    size_sentence,
    together_sentence,
)
from mri3d.report.methods_section import methods_paragraphs
from mri3d.report.references import CLAIM, TRIPOD, Sentence
from mri3d.report.run_facts import RunFacts, and_text
from mri3d.texts import number_text
from mri3d.version import __version__

AUTHOR = "for the author"
_READ_ON = (
    "Questions are in words of our own; the lists have the full text. Answers are what this run did: add what only you "
    "know, and say where in the paper each item stands."
)


def checklist_section(facts: RunFacts) -> list[Html]:
    """Show both lists with the answers that the run has; the others are marked for the author.

    Args:
        facts: Settings and results of the run.
    """
    found = answers(facts)
    shown = []
    for title, source, items in (
        ("TRIPOD+AI: models that predict", TRIPOD, TRIPOD_ITEMS),
        ("CLAIM 2024: artificial intelligence in medical imaging", CLAIM, CLAIM_ITEMS),
    ):
        rows = _rows(items, found)
        answered = sum(row[2] != AUTHOR for row in rows)
        summary = f"{title}, {answered} of {len(rows)} items answered"
        shown.append(
            details(
                summary, element("p", str(source)), table(["Item", "What is asked", "This run"], rows, css="checklist")
            )
        )
    return [element("h2", "Checklists for a paper"), element("p", _READ_ON), *shown]


def _rows(items: Sequence[Item], found: Mapping[str, str]) -> list[list[str]]:
    return [[number, asked, found.get(key) or AUTHOR] for number, asked, key in items]


def answers(facts: RunFacts) -> dict[str, str]:
    """Return what a run can answer by the names of `checklist_items`; empty where it does not know."""
    parts = methods_paragraphs(facts)
    texts = {name: _text(sentences) for name, sentences in parts.items()}
    architecture, training = parts["model"][:1], parts["model"][1:]
    return {
        **{name: texts[name] for name in ("splitting", "scoring", "explanation", "software")},
        **_of_data(facts, texts),
        **_of_model(facts),
        **_of_results(facts),
        "model": " ".join(filter(None, [texts["model"], texts["splitting"]])),
        "architecture": _text(architecture),
        "training": _text(training),
    }


def _text(sentences: Sequence[Sentence]) -> str:
    return " ".join(sentence.text for sentence in sentences)


def _of_data(facts: RunFacts, texts: Mapping[str, str]) -> dict[str, str]:
    """Answer on people, scans and splits."""
    counts, columns = facts.metrics.get("num_subjects") or {}, facts.columns("model", "covariates")
    read = "Every scan was read in full before anything was fitted, and refused or left out where it could not be used."
    described = ", ".join(f"{name}: {text}" for name, text in facts.taking_part)
    flow = ""
    if counts:
        flow = (
            f"In all {number_text(counts['total'], 'session')}; {counts['unlabelled']} without a label, "
            f"{counts['left_out']} left out, {counts['sessions']} took part, {counts['tested']} were tested. "
            "cohort.csv has each, with the reason if it was left out."
        )
    missing = "Sessions without a label took no part." + (
        " Missing values of covariates counted as the mean, and were flagged." if columns else ""
    )
    known = (facts.metrics.get("confounds") or {}).get("associations") or ()
    people = "; ".join([described, *(f"{each['name']}: {each['values']}" for each in known)])
    predictors = and_text(["all voxels of the preprocessed scan", *columns])
    tested = facts.was_tested
    return {
        "aim": "A model was developed"
        + (
            ", and evaluated on sessions of the same cohort that it had not learnt from."
            if tested
            else "; none tested it."
        ),
        "preparation": " ".join(filter(None, [read if facts.recipe is not None else "", texts["preprocessing"]])),
        "outcome": f"{facts.outcome.name}{described and f' ({described})'}. How and when it was assessed: {AUTHOR}.",
        "predictors": f"{predictors[:1].upper()}{predictors[1:]}. How they were acquired: {AUTHOR}.",
        "size": (facts.metrics.get("learning_curve") or {}).get("sentence", ""),
        "missing": missing,
        "flow": flow,
        "people": people.strip("; "),
        "level": together_sentence(facts) if facts.folds else "",
        "sides": _sides(facts) if tested else "",
    }


def _sides(facts: RunFacts) -> str:
    if facts.kind("evaluation") == "LeaveSiteOut":
        return "Test sessions are of a site that the model had not learnt from."
    return "Both are of the same cohort."


def _of_model(facts: RunFacts) -> dict[str, str]:
    """Answer on what the model is and does."""
    seeds, patience = facts.group("evaluation").get("seeds", 1), facts.group("model").get("patience")
    if not facts.kind("model"):
        return {}
    kept = "The weights of the last epoch were kept."
    if patience is not None or facts.outcome.patience is not None:
        kept = "The weights of the epoch with the lowest loss on the validation sessions were kept."
    if not facts.is_network:
        kept = "The best parameters in inner folds of the training sessions." if facts.metrics.get("chosen") else ""
    voting = " On new scans the models of the folds vote." if len(facts.folds) > 1 else ""
    fits = f"Each prediction is {f'the mean of {seeds} fits' if seeds > 1 else 'that of one fit'}."
    imbalance = "Each session had the same weight, whatever its class."
    if facts.is_network:
        imbalance = (
            "In training each class had the same weight; probabilities were then fitted to how frequent they are."
        )
    ours = str(facts.group("model.network").get("_target_", "")).startswith("mri3d.nets.")
    initial = "Weights were drawn at random; nothing was pre-trained."
    if facts.columns("model", "covariates"):
        initial = (
            "Weights were drawn at random, but for those of the covariates, which began as a linear model of them "
            "alone; nothing was pre-trained on other people."
        )
    return {
        "initial": initial if ours else "",
        "selection": kept,
        "imbalance": imbalance if facts.outcome.memberships else "A measure is predicted, and no classes.",
        "ensemble": f"{fits}{voting}",
        "output": "A probability of each class; the most probable one is predicted."
        if facts.outcome.memberships
        else f"A value of {facts.outcome.name}.",
        "updating": "The model was not changed after its evaluation.",
        "folder": "The folder model/ of the run: weights.safetensors and card.json, which mri3d predict reads.",
        "users": "mri3d predict needs the file of a scan"
        + (", and the columns that the model was given" if facts.columns("model", "covariates") else "")
        + "; nothing is done by hand.",
        "poor_input": "mri3d predict compares each scan with those of the training, and refuses those too unlike."
        if facts.recipe is not None
        else "",
    }


def _of_results(facts: RunFacts) -> dict[str, str]:
    """Answer on evaluation and results."""
    code = f"mri3d {__version__} (Apache-2.0), with the settings in config.yaml. Model and data: {AUTHOR}."
    told = {"code": code, "details": "Every setting is in config.yaml of the run, and in this report."}
    if not facts.was_tested:
        return told
    strata = (facts.metrics.get("strata") or {}).get("members") or ()
    variables = list(dict.fromkeys(each["variable"] for each in strata))
    scores = {name: _score(value) for name, value in facts.metrics["test"].items()}
    performance = ", ".join(f"{SCORE_TITLES.get(name, name)} {text}" for name, text in scores.items())
    by_site = [each for each in strata if each["variable"] == "site"]
    sizes = size_sentence(facts)
    clusters = []
    if facts.kind("evaluation") == "LeaveSiteOut":
        clusters.append("Each site was tested by a model that had not learnt from it.")
    if facts.group("evaluation").get("harmonize"):
        clusters.append("The effects of sites on the image were taken out by ComBat.")
    if by_site:
        clusters.append("Scores were computed by site.")
    return told | {
        "clusters": " ".join(clusters),
        "by_cluster": "; ".join(f"{each['level']}: {_headline(facts, each)}" for each in by_site),
        "predictions": "By the model of each fold, of sessions that it had not learnt from; predictions.csv has them.",
        "fairness": f"Scores by {and_text(variables)} are in the report." if variables else "",
        "sizes": sizes,
        "performance": f"{performance}. In brackets: 95 % intervals.",
        "measures": f"{and_text([SCORE_TITLES.get(name, name) for name in scores])}.",
        "uncertainty": _text(interval_sentences(facts)),
        "robustness": _text(robustness_sentences(facts)),
        "internal": sizes,
        "external": "None in this run; mri3d validate tests its model on other people.",
        "failures": f"predictions.csv has each tested session with truth and prediction. What went wrong: {AUTHOR}.",
    }


def _score(found: Mapping[str, Any]) -> str:
    return with_interval(Score(found["value"], found["low"], found["high"]))


def _headline(facts: RunFacts, part: Mapping[str, Any]) -> str:
    """Write the first score that runs are compared by of a part of the tests."""
    name = next((name for name in facts.outcome.compared if name in part["scores"]), "")
    return f"{SCORE_TITLES[name]} {_score(part['scores'][name])}" if name else AUTHOR
