"""Of whom the scans were that models learnt from: told from their cards, whatever stands in them."""

from types import SimpleNamespace

import numpy as np
import pytest

from mri3d import KFold, Study, evaluate, models
from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.noticed import ages_of, people_of
from mri3d.models.taught import ages_of_training, people_text
from tests.studies import planted


def cohort(**columns):
    return Cohort(
        tuple(
            Session(f"s{row}", None, "ab"[row % 2], site=columns.get("site", [None] * 4)[row], usual=usual)
            for row, usual in enumerate(
                {name: cells[row] for name, cells in columns.items() if name != "site"} for row in range(4)
            )
        )
    )


def members(*people: object):
    return [SimpleNamespace(card=SimpleNamespace(facts={} if told is None else {"people": told})) for told in people]


def test_people_are_those_of_the_rows():
    found = cohort(AgeAtScan=["20", "31.5", "70", ""], gender=["F", "M", "F", "F"], site=["x", "y", "x", "x"])
    assert people_of(found, np.array([0, 1, 3])) == {"age": [20.0, 31.5], "sex": ["F", "M"], "site": ["x", "y"]}
    assert people_of(found, np.array([3])) == {"sex": ["F"], "site": ["x"]}
    assert ages_of(found).tolist()[:3] == [20.0, 31.5, 70.0]
    assert ages_of(cohort(dose=["1", "2", "3", "4"])) is None
    assert people_of(cohort(age=["young", "old", "old", "old"]), np.arange(4)) == {}
    assert people_of(cohort(sex=["1", "2", "1", "1"]), np.arange(4)) == {"sex": ["1", "2"]}
    ages = Cohort(tuple(Session(f"s{age}", None, f"{age}", site="HH") for age in (20, 30)))
    assert people_of(ages, np.arange(2), label="age") == {"age": [20.0, 30.0], "site": ["HH"]}
    assert ages_of(ages, label="age").tolist() == [20.0, 30.0]


def test_members_say_together_whom_they_know():
    one, other = {"age": [20.0, 60.5], "sex": ["F"]}, {"age": [25.0, 80.0], "sex": ["M"], "site": ["HH"]}
    assert people_text(members(one, other, None)) == "age 20 to 80; sex F, M; site HH"
    assert ages_of_training(members(one, other)) == (20.0, 80.0)
    assert people_text(members(None)) == ""
    assert people_text(members({"age": [30.0, 30.0]})) == "age 30"


@pytest.mark.parametrize(
    "told", ["x", [], {"age": [1]}, {"age": ["a", "b"]}, {"age": [2.0, float("nan")]}, {"age": [3, 1]}, {"sex": "F"}]
)
def test_what_no_card_of_ours_says_is_not_told(told):
    assert people_text(members(told)) == ""
    assert ages_of_training(members(told)) is None


def test_names_of_a_strangers_card_carry_no_control_characters():
    assert people_text(members({"site": ["a\x1b[31m" + "b" * 100]})) == "site a?[31m" + "b" * 34


def test_cards_say_of_whom_a_fold_learnt():
    volumes, ages = planted([row % 2 for row in range(12)]), [20 + row for row in range(12)]
    study = Study.from_arrays(volumes, ["a", "b"] * 6, covariates={"age": ages})
    results = evaluate(study, models.Ridge(num_components=0.9, inner_folds=2), KFold(folds=2))
    for member, result in zip(results.model.members, results.folds, strict=True):
        learnt = [ages[row] for row in result.fold.train_rows]
        assert member.card.facts["people"]["age"] == [min(learnt), max(learnt)]
