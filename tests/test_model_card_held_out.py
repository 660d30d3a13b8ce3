"""What a card keeps of rows that were held out is what it can be, or refused by name."""

import json

import numpy as np
import pytest

from mri3d import Study, UserError, fit, load, models
from mri3d.model_folder import CARD, write_model
from tests.test_model_card import VOLUMES, network_contents, outcome_of_loading, reseal


@pytest.fixture
def folder(tmp_path):
    """Write the model folder of a network."""
    write_model(tmp_path, network_contents({"channels": [2, 2], "pooling": 1}))
    return tmp_path


HELD_OUT = {"targets": [0, 1], "predictions": [[0.75, 0.25], [0.5, 0.5]]}
VALUES = {"targets": [20.5, 30], "predictions": [21, 29.5]}


def held_out(**entries):
    return {"held_out": {"tested": HELD_OUT | entries}}


@pytest.mark.parametrize(
    "entries",
    [
        *({"shares": shares} for shares in ([0.5], [0.5, 0.4], [0.2, 0.3, 0.5], [1.5, -0.5], [1, 0], ["a", "b"], "ab")),
        *({"shares": shares} for shares in ([[0.5, 0.5]], [0.5] * 10**6, [], [True, False], {"a": 0.5, "b": 0.5})),
        *({"repeat": repeat} for repeat in (-1, 10**9, 0.5, "1")),
        *({"held_out": value} for value in (None, [], [HELD_OUT], {"tested": None}, {"tested": []}, {"steered": {}})),
        *(held_out(targets=targets) for targets in ([0], [0, 2], [0, -1], [0.0, 1.5], ["0", "1"], [[0], [1]], None)),
        *(held_out(targets=targets) for targets in ([0, 10**30], [0] * 3, "01", 7, {"a": 0, "b": 1})),
        *(held_out(predictions=[[0.75, 0.25], row]) for row in ([0.5], [0.5, 0.6], [1.5, -0.5], 0.5, None, [None, 1])),
        *(held_out(predictions=rows) for rows in ([[0.5, 0.5]], [0.5, 0.5], [[1.0], [1.0]], [[[0.5, 0.5]]] * 2, [])),
        held_out(targets=[0] * 1001, predictions=[[0.5, 0.5]] * 1001),
    ],
    ids=lambda entries: repr(entries)[:60],
)
def test_what_was_held_out_is_what_it_can_be_or_refused_in_one_line(folder, entries, monkeypatch):
    monkeypatch.setattr("mri3d.outcome.held_out.MAX_ROWS", 1000)
    card = json.loads((folder / CARD).read_text())
    reseal(folder, card | {"shares": [0.5, 0.5], "held_out": {"steered": HELD_OUT, "tested": HELD_OUT}})
    assert not outcome_of_loading(folder)
    reseal(folder, card | entries)
    with pytest.raises(UserError, match=folder.name) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(folder, value):
    card = json.loads((folder / CARD).read_text())
    reseal(folder, card | held_out(predictions=[[0.123, 0.877], [0.5, 0.5]]))
    (folder / CARD).write_text((folder / CARD).read_text().replace("0.123", value))
    with pytest.raises(UserError, match="was changed after it was written"):
        load(folder)


def test_values_of_a_measure_are_held_against_what_they_can_be(tmp_path):
    study = Study.from_arrays(VOLUMES, np.arange(16.0), task="regression")
    fit(study, models.Ridge(num_components=0.9, inner_folds=2)).save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    reseal(tmp_path, card | {"held_out": {"tested": VALUES}})
    assert load(tmp_path).members[0].card.tested.predictions.tolist() == [21, 29.5]
    for entries in (
        {"shares": [0.5, 0.5]},
        *({"held_out": {"steered": VALUES | {"predictions": rows}}} for rows in ([[21], [29]], [1e300, 1], [1])),
        *({"held_out": {"steered": VALUES | {"targets": rows}}} for rows in ([-1e300, 1], ["a", "b"], [1, 2, 3])),
    ):
        reseal(tmp_path, card | entries)
        with pytest.raises(UserError, match=tmp_path.name):
            load(tmp_path)
