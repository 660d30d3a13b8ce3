"""What the report says of harmonised volumes."""

import html

from mri3d.report.harmonization_section import harmonization_cautions, harmonization_section

SENTENCE = "Harmonising by site changed the AUC from 0.702 to 0.741 (difference 0.039 (-0.01 to 0.09), p = 0.11)."


def found(**more):
    """Return `harmonization` of metrics.json."""
    score = {"value": 0.702, "low": 0.6123, "high": 0.7912}
    apart = {"first": 0.702, "second": 0.741, "difference": 0.0391, "low": -0.0123, "high": 0.0901, "p": 0.1123}
    random = {"as_they_are": 0.5012, "harmonized": 0.5137, "difference": {"value": 0.0125, "low": -0.01, "high": 0.03}}
    return {
        "sentence": SENTENCE,
        "by": "site",
        "primary": "auc",
        "scores": {"as_they_are": {"auc": score}, "harmonized": {"auc": score | {"value": 0.741}}},
        "differences": {"auc": apart, "brier": apart},
        "random_labels": {"number": 20, "better": False, **random},
        **more,
    }


def text_of(harmonization, compared=("auc", "balanced_accuracy")):
    return html.unescape("".join(harmonization_section(harmonization, compared)))


def test_scores_differences_and_random_labels_are_listed():
    text = text_of(found())
    for told in (
        *(SENTENCE, "Volumes as they are", "Harmonised by site (this run)", "0.702 (0.61 to 0.79)", "0.741 (0.61 to"),
        *("0.039 (-0.012 to 0.090)", "0.112", "Mean AUC", "0.501", "0.514", "0.013 (-0.010 to 0.030)"),
        *("those of the same site, 20 times, so", "a site that is only tested has those of its own sessions"),
    ):
        assert told in text, told
    assert "Balanced" not in text, "no score of that name was found"
    assert "Brier" not in text, "it is none that runs are compared by"


def test_a_single_draw_has_no_interval():
    one = {"number": 1, "as_they_are": 0.4, "harmonized": 0.6, "better": False}
    text = text_of(found(random_labels=one | {"difference": {"value": 0.2, "low": None, "high": None}}))
    assert ">0.200<" in text
    assert "of the same site, 1 time, so" in text


def test_fits_that_could_not_be_made_have_no_row():
    scores = {"harmonized": found()["scores"]["harmonized"]}
    text = text_of(found(scores=scores, differences={}, random_labels=None))
    assert "Harmonised by site (this run)" in text
    for told in ("Volumes as they are", "Harmonised less", "Random labels", "Mean AUC"):
        assert told not in text, told


def test_nothing_is_said_of_volumes_that_were_not_harmonised():
    assert harmonization_section(None, ["auc"]) == []
    assert harmonization_cautions(None) == []


def test_a_gain_of_random_labels_is_a_caution():
    assert harmonization_cautions(found()) == harmonization_cautions(found(random_labels=None)) == []
    gained = found(random_labels=found()["random_labels"] | {"better": True})
    assert harmonization_cautions(gained) == [SENTENCE]


def test_scores_that_tests_do_not_define_have_a_dash():
    nothing = {"value": None, "low": None, "high": None}
    text = text_of(found(scores={way: {"auc": nothing} for way in ("as_they_are", "harmonized")}, differences={}))
    assert text.count("–") == 2
