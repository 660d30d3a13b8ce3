"""What the report says of confounds."""

import html

from mri3d.report.confound_section import confound_cautions, confound_section
from tests.report.example import class_metrics, report

SENTENCE = "The image says more about sex than age, icv: together they have an AUC of 0.97, age, icv alone of 0.85."


def found(**more):
    """Return `confounds` of metrics.json."""
    score = {"value": 0.85, "low": 0.7512, "high": 0.923}
    scores = {way: {"auc": score | {"value": 0.5 + number / 10}} for number, way in enumerate(
        ["confounds", "confounds_boosted", "image", "both", "image_without_confounds"])}  # fmt: skip
    apart = {"difference": 0.1234, "low": -0.0123, "high": 0.25, "p": 0.0456}
    return {
        "associations": [],
        "columns": ["age", "icv"],
        "primary": "auc",
        "sentence": SENTENCE,
        "beyond_confounds": True,
        "scores": scores,
        "differences": [{"first": "confounds", "second": "both", "scores": {"auc": apart}}],
        **more,
    }


def test_each_way_to_predict_has_a_row_and_differences_their_intervals():
    text = html.unescape("".join(confound_section(found(), ["auc", "balanced_accuracy"])))
    for told in (
        *("age, icv alone, linear model", "age, icv alone, gradient boosting", "Image alone (this run)"),
        *("Image and age, icv", "Image without what age, icv explain linearly", SENTENCE),
        *("0.900 (0.75 to 0.92)", "0.123 (-0.012 to 0.250)", "0.0456", "Only linear shares are removed"),
    ):
        assert told in text, told
    assert "Balanced" not in text, "no way has that score"


def test_no_evidence_stands_at_the_top_of_the_page(tmp_path):
    nothing = found(sentence="No evidence that the image says more.", beyond_confounds=False)
    page = report(tmp_path, class_metrics() | {"confounds": nothing})
    cautions = " ".join(page.texts)
    assert cautions.index("No evidence that the image says more.") < cautions.index("Confounds")
    assert (
        confound_cautions(found()) == confound_cautions(found(beyond_confounds=None)) == confound_cautions(None) == []
    )


def test_associations_alone_make_no_section():
    assert confound_section({"associations": []}, ["auc"]) == []
    assert confound_section(None, ["auc"]) == []


def test_a_fit_that_could_not_be_made_has_no_row():
    told = found()
    del told["scores"]["image_without_confounds"]
    assert "explain linearly</td>" not in "".join(confound_section(told, ["auc"]))
