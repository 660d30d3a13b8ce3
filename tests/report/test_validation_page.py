"""The page of an external validation: who, how good, beside the model's own test, and what is not known."""

import numpy as np
import pytest
from scipy.special import expit

from mri3d.cohort.variables import Variable
from mri3d.evaluation.validation import FrozenTests
from mri3d.outcome import Classes, Measure
from mri3d.report.decision_section import decision_chart, runs_of
from mri3d.report.elements import in_full, number
from mri3d.report.shown_tests import ShownTests
from mri3d.report.validation_page import write_validation_page
from tests.report.reader import HOSTILE, read
from tests.report.svg import texts, told

DX, AGE = Classes(("control", "patient"), "dx"), Measure("age")
COUNTS = dict.fromkeys(("unlabelled", "left_out", "seen", "failed", "unusual", "outside"), 0)


def people(number=80, prevalence=0.5):
    random = np.random.default_rng(0)
    targets = (random.random(number) < prevalence).astype(int)
    positive = expit(1.5 * (random.normal(size=number) + 1.5 * (targets - 0.5)))
    return targets, np.stack([1 - positive, positive], axis=1)


def page(tmp_path, tests, *, counts=None, own=None, sessions=(), cohort=(), subjects=(), **more):
    """Write the page of some tests and read it back."""
    number = len(tests.targets)
    content = tests.metrics() | {
        "own_test": own or {},
        "num_subjects": COUNTS | {"total": number, "tested": number} | (counts or {}),
    }
    write_validation_page(
        tmp_path / "report.html",
        facts={"model": "runs/x/y"},
        outcome=tests.outcome,
        metrics=content,
        tests=ShownTests(tests.targets, tests.predictions, subjects=subjects),
        cohort=cohort,
        sessions=sessions,
        **more,
    )
    return read(tmp_path / "report.html")


def of_classes(targets, proba, **more):
    return FrozenTests(DX, targets, proba, np.arange(len(targets)), **{"shares": np.array([0.5, 0.5])} | more)


def has(found, text):
    return text in " ".join(found.texts)


def test_sections_come_in_order_and_scores_stand_beside_the_models_own(tmp_path):
    tests = of_classes(*people())
    found = page(tmp_path, tests, own={"auc": {"value": 0.9567, "low": 0.91, "high": 0.98}})
    titles = ["Who they are", "Scores", "Calibration", "Decisions", "Is it worth acting on?", "Parts of the cohort"]
    places = [found.texts.index(title) for title in [*titles, "How to read this"]]
    assert places == sorted(places)
    row = found.texts.index("AUC")
    score = tests.scores["auc"]
    assert found.texts[row + 1 : row + 3] == [
        f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})",
        "0.957 (0.910 to 0.980)",
    ]
    assert found.texts[found.texts.index("Log loss") + 2] == "–"
    assert has(found, "Training sessions: 50 % of class control, 50 % of class patient.")
    assert has(found, "No model was tested on a scan that it was trained on.")
    assert len(found.images) == 5  # ROC, precision-recall, probabilities, calibration, decision curve
    assert not has(found, "evaluation=kfold")


def test_without_an_own_test_there_is_no_column_of_it(tmp_path):
    assert not has(page(tmp_path, of_classes(*people())), "own test")


def test_predictive_values_name_their_prevalence(tmp_path):
    stated = page(tmp_path, of_classes(*people(), prevalence={"control": 0.9, "patient": 0.1}))
    assert has(
        stated, "Predictive values are for people of whom 10 % patient, 90 % control, as was stated (prevalence)"
    )
    here = page(tmp_path, of_classes(*people(number=40, prevalence=0.25)))
    assert has(here, "are as frequent as here: ")
    place = here.texts.index("Positive predictive value (PPV)")
    assert here.texts[place + 2] == "of those predicted as patient, who are so"


def test_what_was_left_out_and_what_is_unusual_is_told(tmp_path):
    sessions = [
        {"subject": "s1", "label": "patient", "status": "ok", "warnings": ""},
        {"subject": "s2", "label": "patient", "status": "ok", "warnings": "voxels of 9 mm"},
        {"subject": "s3", "label": "control", "status": "unusual", "warnings": HOSTILE},
    ]
    cohort = [{"subject": "s9", "label": "control", "left_out": f"no scan {HOSTILE}"}]
    counts = {"seen": 3, "unusual": 1, "unlabelled": 2, "left_out": 1}
    found = page(tmp_path, of_classes(*people()), counts=counts, sessions=sessions, cohort=cohort)
    assert has(found, "3 sessions are left out of the scores: the model was trained on these scans, or on near-copies")
    assert has(found, "1 scan is unlike the training scans, see below.")
    place = found.texts.index("Scans to look at")
    assert [text for text in found.texts[place:] if text in ("s1", "s2", "s3")] == ["s3", "s2"]
    assert found.texts[found.texts.index("Without a label") + 1] == "2"
    assert has(found, "Left out: 1")
    assert HOSTILE in found.texts
    assert "script" not in found.tags


def test_a_model_that_knows_nothing_of_its_training_says_so(tmp_path):
    found = page(tmp_path, of_classes(*people(), shares=None), knows_training=False)
    assert has(found, "This model keeps no record of its training scans")
    assert not has(found, "No model was tested on a scan")
    assert has(found, "The model keeps no record of how frequent its classes were in training")
    assert not has(found, "Training sessions:")
    assert has(found, "tests predicted as class patient")


def test_parts_are_drawn_and_small_ones_counted(tmp_path):
    clinic = Variable.of("clinic", ["north"] * 40 + ["south"] * 35 + ["west"] * 3 + [""] * 2)
    found = page(tmp_path, of_classes(*people(), variables=[clinic]))
    assert len(found.images) == 6
    assert found.texts[found.texts.index("clinic: north") + 1] == "40"
    assert has(found, "1 part has fewer than 10 participants and is not shown. Not known: clinic of 2 sessions.")
    few = page(tmp_path, of_classes(*people(12), variables=[Variable.of("clinic", ["north", "south"] * 6)]))
    assert has(few, "2 parts have fewer than 10 participants and are not shown.")
    none = page(tmp_path, of_classes(*people(12)))
    assert has(none, "Nothing that parts these people is known: name columns in data.site or data.covariates.")


def test_one_class_alone_says_what_is_missing(tmp_path):
    found = page(tmp_path, of_classes(*people(30, 0.0)))
    assert has(found, "There is no session of class 'patient': scores that need it are left empty.")
    assert "Is it worth acting on?" not in found.texts
    assert found.texts[found.texts.index("AUC") + 1] == "–"


def test_a_measure_has_neither_decisions_nor_a_curve(tmp_path):
    ages = np.linspace(20, 80, 60)
    noise = np.random.default_rng(0).normal(0, 3, size=60)
    named = [f"{HOSTILE} {row}" for row in range(60)]
    found = page(tmp_path, FrozenTests(AGE, ages, ages + 5 + noise, np.arange(60)), subjects=named)
    assert [text.partition("\n")[0] for text in found.told] == named * 2  # two charts
    assert has(found, "Predicted minus true age is 5")
    assert not {"Decisions", "Is it worth acting on?"} & set(found.texts)
    assert len(found.images) == 2


@pytest.mark.parametrize("prevalence", [0.2, 0.5])
def test_the_curve_says_where_the_model_is_worth_acting_on(tmp_path, prevalence):
    tests = of_classes(*people(400, prevalence))
    curve = tests.metrics()["decision_curve"]
    found = page(tmp_path, tests)
    assert has(found, f"worth more than both others at thresholds of {runs_of(curve['thresholds'], curve['gain'])}; ")
    assert has(found, f"of the gain lies above 0 at {runs_of(curve['thresholds'], curve['gain_low'])}.")
    picture = decision_chart(curve)
    said = [text for text, _ in told(picture)]
    gain = {name: curve[name][9] for name in ("low", "high")} | {"value": curve["net_benefit"][9]}
    text = f"Threshold 0.10\nNet benefit by the model {in_full(gain)}\nNet benefit on everybody "
    assert text + number(curve["everybody"][9]) in said
    labels = texts(picture)
    assert {"Act on everybody", "Act on nobody", "Act by the model", "Net benefit"} <= set(labels)
    assert "Threshold: probability of patient from which on one acts" in labels


def test_guessing_is_not_worth_acting_on(tmp_path):
    targets, _ = people(60)
    found = page(tmp_path, of_classes(targets, np.tile([0.995, 0.005], (60, 1))))
    assert has(found, "At no threshold is acting by the model worth more than acting on everybody or on nobody.")
    assert has(found, "No evidence that the model is better than chance on these people")
