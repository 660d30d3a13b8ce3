"""What a run writes never falls in with what is not its own."""

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.evaluation.results import FoldResult
from mri3d.evaluation.splits import Fold
from mri3d.model_folder import CARD
from mri3d.models.member import Member
from mri3d.records import claim_evaluation, write_member

SETTINGS = {"model": "Ridge {}", "seed": 0}


class Saved:
    """Stand for a fitted model, which leaves a card."""

    def save(self, folder, card):
        """Write where it was told."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD).write_text(card)


def write(folder, number, *, num_folds):
    none = np.empty(0, dtype=np.int64)
    result = FoldResult(Fold(number, 0, none, none, none), none, None, {}, [], 0.0)
    write_member(folder, Member(Saved(), f"card of {number}"), result, num_folds=num_folds)


@pytest.mark.parametrize(
    ("num_folds", "places"), [(1, ["model"]), (2, ["model/fold_0", "model/fold_1"])], ids=["alone", "folds"]
)
def test_each_fold_has_its_model_folder_and_may_write_it_again(tmp_path, num_folds, places):
    for _ in range(2):
        for number in range(num_folds):
            write(tmp_path, number, num_folds=num_folds)
    cards = {str(path.parent.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob(CARD)}
    assert cards == {place: f"card of {number}" for number, place in enumerate(places)}


@pytest.mark.parametrize(("there", "num_folds"), [("model", 2), ("model/fold_0", 1), ("model/fold_2", 2)])
def test_a_model_that_is_none_of_the_run_s_is_not_joined(tmp_path, there, num_folds):
    Saved().save(tmp_path / there, "another")
    with pytest.raises(UserError, match="holds another model"):
        write(tmp_path, 0, num_folds=num_folds)
    assert [path.read_text() for path in tmp_path.rglob(CARD)] == ["another"]


def test_what_is_evaluated_in_a_folder_is_noted_and_nothing_else_goes_on_there(tmp_path):
    claim_evaluation(tmp_path, SETTINGS, resumed=False)
    claim_evaluation(tmp_path, SETTINGS, resumed=True)
    with pytest.raises(UserError, match="with another model and seed, whose checkpoints"):
        claim_evaluation(tmp_path, {"model": "Ridge {'alpha': 1}", "seed": 1}, resumed=True)
    for damaged in ("[]", "{", ""):
        (tmp_path / "evaluation.json").write_text(damaged)
        with pytest.raises(UserError, match="with another model and seed"):
            claim_evaluation(tmp_path, SETTINGS, resumed=True)
