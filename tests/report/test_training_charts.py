"""Charts of training and of tried values show the numbers they are given."""

import numpy as np
import pytest

from mri3d.report.training_charts import training_chart, validation_chart
from tests.report.svg import marks, texts, told


def test_training_draws_a_line_for_each_fold_and_a_legend_once():
    history = [{"epoch": epoch, "train_loss": 1 / (1 + epoch), "val_loss": 0.5, "val_auc": 0.9} for epoch in range(4)]
    history = [epoch | {"val_accuracy": 0.8} for epoch in history]
    undefined = [{"epoch": 0, "train_loss": np.nan}]
    picture = training_chart([history, history[:2], undefined])
    assert texts(picture).count("Training") == texts(picture).count("AUC") == texts(picture).count("Accuracy") == 1
    assert "3 fits" in picture.caption
    assert {"Epoch", "Loss", "Validation score"} <= set(texts(picture))
    said = [text for text, _ in told(picture)]
    assert len(said) == 4 * (4 + 2)
    assert {
        "Fit 1 of 3, epoch 4\nTraining loss 0.250",
        "Fit 2 of 3, epoch 1\nValidation loss 0.500",
        "Fit 2 of 3, epoch 2\nValidation AUC 0.900",
    } <= set(said)


def test_the_first_epoch_is_number_1_as_in_the_log():
    picture = training_chart([[{"epoch": epoch, "train_loss": 1.0 - 0.1 * epoch} for epoch in range(3)]])
    shown = texts(picture)
    assert {"1", "2", "3"} <= set(shown)
    assert not {"0", "4"} & set(shown)
    assert told(picture)[0][0] == "Epoch 1\nTraining loss 1.000"


def test_scores_of_different_scales_have_a_panel_each():
    scores = {"val_mae": 9.0, "val_r2": -40.0, "val_loss": 1.0}
    history = [{"epoch": epoch, "train_loss": 1.0, **scores, "val_r2": -40.0 + 20.2 * epoch} for epoch in range(3)]
    shown = texts(training_chart([history]))
    assert {"Loss", "Validation MAE", "Validation R²"} <= set(shown)
    assert shown.count("Epoch") == 3
    assert "−40" not in shown  # R² of the first epochs would flatten the others
    assert "−1.0" in shown or "−1.00" in shown


def test_a_single_score_is_named_on_its_axis():
    shown = texts(training_chart([[{"epoch": 0, "train_loss": 1.0, "val_loss": 1.0, "val_auc": 0.5}] * 2]))
    assert "Validation AUC" in shown
    assert not {"Accuracy", "Validation score"} & set(shown)  # no such score was given


def test_without_a_validation_there_is_one_panel():
    shown = texts(training_chart([[{"epoch": 0, "train_loss": 1.0}, {"epoch": 1, "train_loss": 0.5}]]))
    assert shown.count("Epoch") == 1
    assert "Training" in shown
    assert "Validation" not in shown


@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([100.0, 0.1, 1.0], [1, 0, 1 / 3]),  # decades: logarithmic, whatever the order
        ([1, 3, 5], [0, 0.5, 1]),  # less than a decade: linear
        ([0.9, 50, None], [0, 0.5, 1]),  # of several kinds: side by side
        (["scale", "auto", True], [0, 0.5, 1]),
    ],
)
@pytest.mark.parametrize(("criterion", "title"), [("auc", "AUC"), ("r2", "R²")])
def test_validation_curves_stand_where_their_values_are(values, shares, criterion, title):
    scores = {"Training": [[1.0, 1.0], [0.9, 0.9], [0.8, 0.8]], "Validation": [[0.5, 0.7], [0.6, 0.6], [0.7, 0.7]]}
    picture = validation_chart("C", values, scores, "caption", criterion=criterion)
    training, validation = marks(picture)
    order = np.argsort(shares)
    across = training[:, 0] - training[0, 0]
    np.testing.assert_allclose(across / across[-1], np.array(shares)[order], atol=1e-6)
    heights = np.concatenate([training[:, 1], validation[:, 1]])
    means = np.concatenate([np.array([1.0, 0.9, 0.8])[order], np.array([0.6, 0.6, 0.7])[order]])
    slope, start = np.polyfit(means, heights, 1)
    np.testing.assert_allclose(start + slope * means, heights, atol=1e-3)
    assert slope < 0
    said = told(picture)
    np.testing.assert_allclose([ends[0] for _, ends in said], np.concatenate([training, validation]), atol=0.006)
    where = order.tolist().index(0)  # the first value
    assert said[where][0].endswith(f"\nTraining {title} 1.000 ± 0.000")
    assert said[3 + where][0].endswith(f"\nValidation {title} 0.600 ± 0.141")
    shown = {"null" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in values}
    assert shown | {"C", title, "Training", "Validation"} <= set(texts(picture))


def test_a_parameter_may_have_any_name_and_many_values():
    values = [f"_${number}<" for number in range(30)]
    picture = validation_chart("_x", values, {"Training": [[0.5]] * 30}, "caption", criterion="auc")
    assert {" _x", " _$29<"} <= set(texts(picture))


def test_scores_of_one_range_share_a_panel_and_others_have_their_own():
    scores = {"val_mae": 9.0, "val_r2": 0.5, "val_pearson_r": 0.8, "val_auc": 0.9, "val_f1": 0.7, "val_rmse": 12.0}
    picture = training_chart([[{"epoch": epoch, "train_loss": 1.0, **scores} for epoch in range(3)]])
    shown = texts(picture)
    assert shown.count("Epoch") == 5  # losses; MAE; R² and Pearson r; AUC and F1; RMSE
    assert shown.count("Validation score") == 2
    assert {"Validation MAE", "Validation RMSE", "R²", "Pearson r", "AUC", "F1"} <= set(shown)
