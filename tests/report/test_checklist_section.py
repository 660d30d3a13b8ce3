"""Two checklists: their numbers, and that a run answers what it knows and nothing else."""

import html

from mri3d.outcome import Classes
from mri3d.report.checklist_items import CLAIM_ITEMS, TRIPOD_ITEMS
from mri3d.report.checklist_section import AUTHOR, answers, checklist_section
from mri3d.report.repeat_section import repeat_section
from mri3d.report.run_facts import RunFacts
from tests.report.example import AGE, SEXES, class_metrics
from tests.report.reader import HOSTILE
from tests.report.test_methods_section import TABLE, facts

PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
"""Items of TRIPOD+AI that have parts."""


def test_items_have_the_numbers_of_the_lists():
    numbers = [f"{item}{part}" for item in range(1, 28) for part in PARTS.get(item, [""])]
    assert [number for number, *_ in TRIPOD_ITEMS] == numbers
    assert len(numbers) == 52
    assert [number for number, *_ in CLAIM_ITEMS] == [str(number) for number in range(1, 45)]


def test_every_answer_that_is_named_exists():
    known = {key for *_, key in (*TRIPOD_ITEMS, *CLAIM_ITEMS) if key}
    assert known == {*answers(facts())}


def test_a_run_answers_what_it_knows():
    site = {"variable": "site", "level": "north", "scores": {"auc": {"value": 0.8, "low": 0.7, "high": 0.9}}}
    found = answers(facts(*TABLE, "evaluation=leave_site_out", num_folds=2, strata={"members": [site]}))
    assert found["performance"].startswith("AUC 0.900, accuracy 0.900, balanced accuracy 0.900")
    assert (
        found["sizes"]
        == "Each model learnt from 50 sessions, with 12 further ones for validation, and was tested on 15."
    )
    assert found["flow"].startswith("In all 90 sessions; 7 without a label, 3 left out, 80 took part, 80 were tested.")
    assert found["by_cluster"] == "north: AUC 0.800 (0.70 to 0.90)"
    assert found["sides"] == "Test sessions are of a site that the model had not learnt from."
    assert found["initial"] == "Weights were drawn at random; nothing was pre-trained."
    assert found["imbalance"].startswith("In training each class had the same weight")
    assert found["ensemble"] == "Each prediction is that of one fit. On new scans the models of the folds vote."


def test_of_repeats_and_covariates_nothing_is_said_that_is_not_so():
    """Of repeats each session is predicted by several fits; the weights of covariates are not drawn at random."""
    repeated = facts("evaluation=kfold", num_folds=10)
    for number, fold in enumerate(repeated.metrics["folds"]):
        fold["repeat"] = number // 5
    assert answers(repeated)["ensemble"].startswith("Each prediction is that of one fit.")
    seeds = answers(facts("evaluation.seeds=3"))
    assert seeds["ensemble"] == "Each prediction is the mean of 3 fits."
    fused = answers(facts(*TABLE, "model.covariates=[age,sex]"))
    assert fused["initial"] == (
        "Weights were drawn at random, but for those of the covariates, which began as a linear model of them alone; "
        "nothing was pre-trained on other people."
    )


def test_other_models_and_outcomes_answer_otherwise():
    ridge = answers(facts("model=ridge"))
    assert ridge["imbalance"] == "Each session had the same weight, whatever its class."
    assert ridge["selection"] == "", "nothing says that parameters were chosen"
    assert ridge["initial"] == ""
    assert answers(facts("model=ridge", outcome=AGE))["output"] == "A value of age."
    assert answers(facts(outcome=AGE))["selection"] == "The weights of the last epoch were kept."


def test_what_a_run_does_not_know_is_for_the_author():
    texts = html.unescape("".join(checklist_section(RunFacts({}, class_metrics() | {"test": {}}, SEXES))))
    assert f"<th>17</th><td>Ethics committee and consent</td><td>{AUTHOR}</td>" in texts
    assert f"<th>23a</th><td>Performance with intervals, also of subgroups</td><td>{AUTHOR}</td>" in texts
    assert "TRIPOD+AI: models that predict, " in texts
    assert "doi:10.1136/bmj-2023-078378" in texts
    assert "doi:10.1148/ryai.240300" in texts


def test_hostile_texts_are_only_texts():
    known = facts()
    hostile = RunFacts(known.configuration, known.metrics, Classes((HOSTILE, "b"), name=HOSTILE), [(HOSTILE, HOSTILE)])
    for section in (checklist_section(hostile), repeat_section(HOSTILE, folder=HOSTILE, needed=[HOSTILE])):
        text = "".join(section)
        assert "<script" not in text
        assert html.unescape(text).count(HOSTILE) >= 3


def test_the_command_says_where_to_start_it_only_if_that_matters():
    assert repeat_section("") == []
    assert "Start it in" not in "".join(repeat_section("python train.py seed=0"))
    assert "Start it in /study, from where data.root and my.Net are looked for." in "".join(
        repeat_section("x", folder="/study", needed=["data.root", "my.Net"])
    )
