"""How often forecasts of a learning curve hold the truth, and how often a gain is seen where there is none."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from mri3d.evaluation.curve import weighted_aucs
from mri3d.evaluation.power_law import Extrapolation
from mri3d.evaluation.sampling import Sampling
from mri3d.outcome import Classes, Measure
from tests.evaluation.test_coverage import Cohort

# ---- how often it is right


def simulated(random, number, num_features, strength, kind):
    """Fit ridge to parts of a cohort; sizes [P], errors [P] and draws of them [R, P]."""
    make = Cohort.of_classes if kind == "classes" else Cohort.of_values
    cohort, sizes, points = make(random, number, num_features, strength, 5), [], []
    outcome = Classes(("a", "b")) if kind == "classes" else Measure("age")
    alone = np.arange(number)
    sampling = Sampling(cohort.folds, alone, alone, num_train=(number - number // 5,) * 5)
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        found = np.empty(number)
        for fold in range(5):
            rows = np.flatnonzero(cohort.folds != fold)
            rows = rows[: round(share * len(rows))]  # classes take turns in a cohort, values come by chance
            slopes, level = ridge(cohort.features[rows], cohort.targets[rows])
            found[cohort.folds == fold] = cohort.features[cohort.folds == fold] @ slopes + level
        sizes.append(len(rows))
        predictions = np.stack([-found, found], axis=1) if kind == "classes" else found
        points.append(outcome.resampling(cohort.targets, predictions))
    strata = sampling.strata(points[0].ranking)
    weights = np.concatenate([sampling.once[None], *sampling.draws(strata, 300, seed=0)])
    if kind == "classes":
        drawn = np.stack([1 - weighted_aucs(tests.ranking, sampling.folds, weights) for tests in points], axis=1)
    else:
        errors = [np.abs(tests.predictions - tests.targets) for tests in points]
        drawn = np.stack([weights @ each / weights.sum(axis=1) for each in errors], axis=1)
    return Extrapolation.of(np.array(sizes, dtype=float), drawn[0], drawn[1:], widening=sampling.widening)


def ridge(features, targets):
    """Fit with as much ridge as there are features; slopes and intercept."""
    centre, level = features.mean(axis=0), targets.mean()
    gram = (features - centre) @ (features - centre).T
    dual = np.linalg.solve(gram + features.shape[1] * np.eye(len(targets)), targets - level)
    slopes = (features - centre).T @ dual
    return slopes, level - centre @ slopes


def true_error(random, number, num_features, strength, kind):
    """Estimate the mean error of ridge on so many sessions, by predictions of many others."""
    make, found = (Cohort.of_classes if kind == "classes" else Cohort.of_values), []
    for _ in range(100):
        cohort, others = (make(random, size, num_features, strength, 5) for size in (number, 1000))
        slopes, level = ridge(cohort.features, cohort.targets)
        predicted = others.features @ slopes + level
        if kind == "classes":
            found.append(1 - roc_auc_score(others.targets, predicted))
        else:
            found.append(mean_absolute_error(others.targets, predicted))
    return np.mean(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number", "num_features", "strength"),
    [("classes", 120, 50, 2.0), ("classes", 120, 300, 3.0), ("classes", 300, 300, 3.0), ("measure", 120, 50, 1.5)],
)
def test_forecasts_hold_the_truth(kind, number, num_features, strength):
    random = np.random.default_rng([number, num_features])
    further = np.array([1.5, 2.0, 4.0]) * number * 0.8
    truth = np.array([true_error(random, round(size), num_features, strength, kind) for size in further])
    held, widths, helps = [], [], []
    for _ in range(150):
        found = simulated(random, number, num_features, strength, kind)
        _, low, high = found.at(further)
        held.append((low <= truth) & (truth <= high))
        widths.append(high - low)
        helps.append(found.helps)
    what = f"{kind}, n {number}, features {num_features}, errors {truth.round(3)}"
    print(f"{what}: {np.mean(held, axis=0)}, widths {np.mean(widths, axis=0)}, helps {np.mean(helps)}")  # noqa: T201
    assert (np.mean(held, axis=0) >= 0.9).all()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [("classes", 60), ("classes", 200), ("measure", 120)])
def test_where_nothing_can_be_learnt_more_sessions_are_hardly_ever_said_to_help(kind, number):
    random = np.random.default_rng(number)
    helps = [simulated(random, number, 50 if kind == "classes" else 300, 0.0, kind).helps for _ in range(200)]
    print(f"{kind}, n {number}: said to help in {np.mean(helps):.3f}")  # noqa: T201
    assert np.mean(helps) <= 0.05
