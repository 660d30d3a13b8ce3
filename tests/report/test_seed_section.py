"""What the report says of several seeds."""

from mri3d.report.seed_section import seed_section
from tests.report.example import class_metrics, report

SEEDS = {
    "number": 3,
    "auc": {"mean": 0.7, "sd": 0.1, "values": [0.6, 0.7, 0.8]},
    "balanced_accuracy": {"mean": None, "sd": None, "values": [0.5, None, 0.75]},
    "brier": {"mean": 0.2, "sd": 0.0, "values": [0.2, 0.2, 0.2]},
}


def test_each_seed_stands_beside_the_mean_prediction(tmp_path):
    page = report(tmp_path, class_metrics(num_folds=2, auc=0.91) | {"seeds": SEEDS})
    assert "Each fold was fitted 3 times" in " ".join(page.texts)
    text = "".join(seed_section(class_metrics(auc=0.91) | {"seeds": SEEDS}, ["auc", "balanced_accuracy", "accuracy"]))
    for cell in ("0.600", "0.700", "0.800", "0.700 ± 0.100", "0.910", "Seed 3", "–"):
        assert cell in text.replace("\u00a0", " "), cell
    assert "Brier" not in text, "only the scores that runs are compared by"


def test_one_seed_has_no_section():
    assert seed_section(class_metrics(), ["auc"]) == []
