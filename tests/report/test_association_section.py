"""What else differs, in the report of a run."""

import html

import numpy as np
import pytest

from mri3d.cohort.noticed import FACTS, HEAD_SIZE
from mri3d.cohort.variables import Variable
from mri3d.evaluation.associations import associations
from mri3d.outcome import Classes, Measure
from mri3d.report.association_section import association_cautions, association_section
from tests.report.reader import HOSTILE

GROUP, AGES = Classes(("control", "patient"), name="group"), Measure("age")
HALVES = np.repeat([0, 1], 20)

AGE = {
    "name": "age",
    "values": "mean 48.3 in control, 62.1 in patient",
    "test": "Kruskal-Wallis",
    "kind": "AUC",
    "effect": 0.7912,
    "p": 0.000012,
    "p_holm": 0.000024,
    "sessions": 131,
    "estimate": "",
    "associated": True,
    "determines": False,
    "line": "age: ...",
    "sentence": "Sessions of class patient have a higher age.",
}
HEAD = AGE | {
    "name": "head_size_ml",
    "kind": "rank correlation",
    "effect": -0.004,
    "p": 0.75,
    "p_holm": 0.75,
    "estimate": "estimated from the scan",
    "associated": False,
    "sentence": "",
}


def section(*tested: dict):
    return "".join(association_section({"associations": list(tested)}))


def test_variables_are_listed_with_their_tests():
    text = section(AGE, HEAD)
    assert "<h2>What else differs</h2>" in text
    assert (
        "<tr><th>age</th><td>mean 48.3 in control, 62.1 in patient</td><td>Kruskal-Wallis</td><td>AUC 0.79</td>"
        "<td>131</td><td>&lt; 0.001</td><td>&lt; 0.001</td></tr>"
    ) in text
    assert "<th>head_size_ml (estimate)</th>" in text
    assert "<td>rank correlation 0.00</td><td>131</td><td>0.75</td><td>0.75</td>" in text


def test_what_follows_from_an_association_is_said_below_the_table():
    text = section(HEAD, AGE)
    assert text.index("</table>") < text.index("<p>Sessions of class patient have a higher age.</p>")
    assert "None of these is associated" not in text


def test_where_nothing_is_associated_that_is_said():
    text = section(HEAD)
    assert text.count("None of these is associated with what is predicted.") == 1


def test_where_nothing_could_be_tested_that_is_said():
    text = section()
    assert "No variable was tested" in text
    assert "<table" not in text


def test_texts_of_the_table_are_escaped():
    text = section(AGE | {"name": HOSTILE, "values": HOSTILE, "sentence": HOSTILE})
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3


@pytest.mark.parametrize("found", [None, {}, {"columns": ["age"]}])
def test_runs_of_earlier_versions_have_no_such_section(found):
    assert association_section(found) == []


def held_against(outcome, targets, name, values, estimate=""):
    """Test a variable of sessions that stand alone, and return what was found and what its section says below."""
    of_scan = name in {"site", *FACTS} - {HEAD_SIZE}
    variable = Variable(name, np.asarray(values), estimate, of_scan)
    (found,) = associations(outcome, targets, np.arange(len(targets)), [variable])
    kept = section(found.to_json())
    assert html.unescape(kept.rpartition("<p>")[2]) == f"{found.sentence()}</p>"
    return found


def test_a_number_differs_between_two_classes():
    ages = np.concatenate([np.arange(38.5, 58), np.arange(52.5, 72)])
    found = held_against(GROUP, HALVES, "age", ages)
    assert found.sentence() == (
        "Sessions of class patient have a higher age than those of class control (mean 62 against 48, p < 0.001): a "
        "model may have learnt age in place of group. Judge what age alone predicts: evaluation.confounds=[age]."
    )
    won = sum((one > other) + (one == other) / 2 for one in ages[20:] for other in ages[:20])
    assert found.line() == (
        f"age: mean 48 in control, 62 in patient; Kruskal-Wallis, AUC {won / 400:.2f}, p < 0.001, < 0.001 by Holm"
    )
    turned = held_against(GROUP, HALVES, "age", -ages)
    assert turned.sentence().startswith(
        "Sessions of class control have a higher age than those of class patient (mean -48 against -62, p < 0.001)"
    )


def test_categories_differ_between_classes():
    found = held_against(GROUP, HALVES, "sex", ["F"] * 16 + ["M"] * 4 + ["F"] * 3 + ["M"] * 17)
    assert found.sentence().startswith(
        "The classes differ in sex (control: F 16, M 4; patient: F 3, M 17, p < 0.001): a model may have learnt sex"
    )


def test_a_site_says_the_class():
    found = held_against(GROUP, HALVES, "site", ["A"] * 20 + ["B"] * 12 + ["C"] * 8)
    assert found.sentence() == (
        "Each value of site occurs in one class only (control: A 20; patient: B 12, C 8): site alone says what group "
        "is, so that nothing can be learnt about group itself. Add sessions that have the same site and another class."
    )


def test_a_number_differs_along_with_a_measure():
    ages = np.arange(20.0, 60)
    sizes = ages.reshape(5, 8)[:, ::-1].ravel()
    lower = held_against(AGES, ages, "icv", -sizes).sentence()
    assert lower.startswith(
        "A higher icv goes with a lower age (Spearman's correlation -0.92, p < 0.001): a model may have learnt icv"
    )
    higher = held_against(AGES, ages, "icv", sizes).sentence()
    assert higher.startswith("A higher icv goes with a higher age (Spearman's correlation 0.92, p < 0.001)")


def test_a_measure_differs_between_categories():
    found = held_against(AGES, np.arange(20.0, 60), "site", ["A"] * 20 + ["B"] * 20)
    assert found.sentence().startswith(
        "Values of age differ by site (mean 29.5 in A, 49.5 in B, p < 0.001): the scans were made or stored"
    )


def test_ranks_and_means_that_disagree_name_no_direction():
    found = held_against(GROUP, HALVES, "age", [*np.arange(20.0, 39), 2000.0, *np.arange(40.0, 60)])
    assert found.sentence().startswith(
        "Values of age differ between classes (mean 127.5 in control, 49.5 in patient, p < 0.001)"
    )


@pytest.mark.parametrize("name", sorted(set(FACTS) - {HEAD_SIZE}))
def test_how_scans_were_made_has_advice_of_its_own(name):
    told = held_against(GROUP, HALVES, name, np.repeat(["x", "y", "x", "y"], [15, 5, 3, 17])).sentence()
    assert "the scans were made or stored differently, and a model may have read that in place of group." in told
    assert f"Judge what {name} alone predicts (evaluation.confounds=[{name}]), and test the model on scans that" in told


def test_what_is_put_to_use_already_is_not_advised_again():
    variables = [Variable("age", np.arange(40.0)), Variable("file_type", np.repeat(["x", "y"], 20), of_scan=True)]
    ages, file_types = associations(GROUP, HALVES, np.arange(40), variables, ["age", "file_type"])
    assert ages.sentence().endswith("a model may have learnt age in place of group.")
    assert "evaluation.confounds" not in ages.sentence() + file_types.sentence()


def test_estimates_are_called_so():
    found = held_against(GROUP, HALVES, HEAD_SIZE, np.arange(40.0), "estimated from the scan")
    assert found.sentence().endswith(
        "evaluation.confounds=[head_size_ml]. Note that head_size_ml is estimated from the scan."
    )
    assert found.line().startswith("head_size_ml (estimate): mean 9.5 in control, 29.5 in patient; ")


def test_names_that_the_command_line_reads_in_quotes_only_are_named_alone():
    found = held_against(GROUP, HALVES, "Age at scan", np.arange(40.0))
    assert "Judge what Age at scan alone predicts: name it in evaluation.confounds." in found.sentence()


def test_what_says_the_outcome_stands_at_the_top_of_the_page():
    told = {**AGE, "determines": True, "sentence": "site alone says what group is."}
    assert association_cautions({"associations": [AGE, told]}) == ["site alone says what group is."]
    assert association_cautions(None) == association_cautions({}) == []


def test_the_outcome_by_another_name_is_called_so():
    found = held_against(GROUP, HALVES, "gender", np.repeat(["F", "M"], 20))
    assert found.sentence().startswith("gender says the same as group of every session (control: F 20; patient: M 20).")
    assert not found.determines


def test_an_age_that_parts_the_classes_is_no_other_name():
    found = held_against(GROUP, HALVES, "age", np.repeat([20.0, 25.0, 60.0, 65.0], 10))
    assert found.determines
    assert "so that nothing can be learnt about group itself" in found.sentence()


def test_what_could_not_be_tested_is_named():
    text = "".join(association_section({"associations": [], "untested": {"age": "48 different texts in 48 sessions"}}))
    assert "Not tested: age (48 different texts in 48 sessions)." in text
