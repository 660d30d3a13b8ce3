"""What the inner folds chose is told with the numbers of the rows given."""

import itertools

import numpy as np
import pytest

from mri3d.report.tuning import tuning_sections, validation_curves

CHOSEN = [{"num_components": None, "C": 1.0}, {"num_components": 5, "C": 10.0}]


def score(fold, num_components, C, inner_fold):
    """Any number that tells all four apart."""
    return 0.5 + 0.1 * fold + 0.02 * (num_components or 0) + 0.003 * C + 0.001 * inner_fold


def rows():
    points = itertools.product(range(2), [5, None], [0.1, 1.0, 10.0], range(3))
    return [
        {
            "fold": fold,
            "num_components": count,
            "C": C,
            "inner_fold": inner,
            "train_auc": score(fold, count, C, inner) + 0.2,
            "validation_auc": score(fold, count, C, inner),
        }
        for fold, count, C, inner in points
    ]


def test_a_curve_holds_the_other_parameters_at_what_each_fold_chose():
    components, penalty = validation_curves(CHOSEN, rows())
    assert (components.name, components.values, components.num_chosen) == ("num_components", [5, None], [1, 1])
    assert (penalty.name, penalty.values, penalty.num_chosen) == ("C", [0.1, 1.0, 10.0], [0, 1, 1])
    # fold 0 chose no PCA, fold 1 five components: by hand, the mean over three inner folds of both
    for C, held_out, train in zip(penalty.values, penalty.validation_scores, penalty.train_scores, strict=True):
        expected = [0.5 + 0.003 * C + 0.001 * inner for inner in range(3)]
        expected += [0.5 + 0.1 + 0.1 + 0.003 * C + 0.001 * inner for inner in range(3)]
        np.testing.assert_allclose(held_out, expected, atol=1e-12)
        np.testing.assert_allclose(train, np.array(expected) + 0.2, atol=1e-12)
    means = [np.mean(scores) for scores in components.validation_scores]
    # (0.5 + 0.1 + 0.003 + 0.001 and 0.5 + 0.1 + 0.1 + 0.03 + 0.001) / 2; without PCA both 0.1 less
    np.testing.assert_allclose(means, [(0.604 + 0.731) / 2, (0.504 + 0.631) / 2], atol=1e-12)


def test_the_table_gives_counts_means_and_spreads():
    metrics = {"folds": [{"chosen": chosen} for chosen in CHOSEN]}
    text = "".join(tuning_sections(metrics, rows()))
    scores = np.array([[0.5 + 0.03 + 0.001 * inner, 0.7 + 0.03 + 0.001 * inner] for inner in range(3)])
    spread = f"{scores.mean():.3f} ± {scores.std(ddof=1):.3f}"
    train = f"{scores.mean() + 0.2:.3f} ± {scores.std(ddof=1):.3f}"
    assert "<th>C</th><th>Folds that chose it</th><th>Training</th><th>Validation</th>" in text
    assert f"<tr><th>10</th><td>1 of 2</td><td>{train}</td><td>{spread}</td></tr>" in text
    assert "<tr><th>0.1</th><td>0 of 2</td>" in text
    assert "<tr><th>null</th><td>1 of 2</td>" in text
    assert "AUC against C, all others as each fold chose them; mean ± SD over 6 inner folds." in text
    assert "Each of 2 folds chose within its own training sessions" in text


def test_the_score_that_led_the_choice_is_found_by_its_columns():
    def renamed(name):
        return name.replace("_auc", "_r2")

    search = [{renamed(name): value for name, value in row.items()} | {"train_size": 8} for row in rows()]
    chosen = [setting | {"train_size": 8} for setting in CHOSEN]  # a parameter whose name begins like a score's
    curves = validation_curves(chosen, search)
    assert [(curve.name, curve.criterion) for curve in curves] == [("num_components", "r2"), ("C", "r2")]
    assert [curve.validation_scores for curve in curves] == [
        curve.validation_scores for curve in validation_curves(CHOSEN, rows())
    ]
    text = "".join(tuning_sections({"folds": [{"chosen": setting} for setting in chosen]}, search))
    assert "Validation curve: R² against C, all others" in text


def test_choices_in_two_steps_have_a_curve_each():
    outer = [
        {"fold": 0, "options": options, "inner_fold": inner, "train_auc": 1.0, "validation_auc": 0.6 + 0.1 * inner}
        for options in ([4, 8], [8, 16])
        for inner in range(2)
    ]
    inner = [row | {"fold": 0} for row in rows() if row["fold"] == 0]
    curves = validation_curves([CHOSEN[0] | {"options": [8, 16]}], outer + inner)
    assert [(curve.name, curve.num_chosen) for curve in curves] == [
        ("options", [0, 1]),
        ("num_components", [0, 1]),
        ("C", [0, 1, 0]),
    ]
    assert curves[0].validation_scores == [pytest.approx([0.6, 0.7])] * 2
    text = "".join(tuning_sections({"folds": [{"chosen": CHOSEN[0] | {"options": [8, 16]}}]}, outer + inner))
    assert "AUC against options, all others as each fold chose them; mean ± SD over 2 inner folds." in text
    assert "AUC against C, all others as each fold chose them; mean ± SD over 3 inner folds." in text


def test_values_that_a_fold_did_not_try_have_no_place_on_the_curve():
    tried = [row for row in rows() if not (row["fold"] == 1 and row["C"] == 0.1)]
    curves = {curve.name: curve for curve in validation_curves(CHOSEN, tried)}
    assert curves["C"].values == [1.0, 10.0]


def test_nothing_is_told_where_there_was_nothing_to_choose():
    single = [row for row in rows() if row["C"] == 1.0 and row["num_components"] == 5]
    metrics = {"folds": [{"chosen": {"num_components": 5, "C": 1.0}}] * 2}
    assert tuning_sections(metrics, single) == []
    assert tuning_sections({"folds": [{"chosen": {}}]}, []) == []
