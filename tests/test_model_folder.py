"""What is saved comes back, what is damaged or foreign is refused by name, and nothing in it is run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mri3d.errors import UserError
from mri3d.files import digest_json
from mri3d.model_folder import CARD, SEAL, WEIGHTS, Card, Contents, read_model, write_model
from mri3d.model_places import model_folders
from mri3d.outcome import Classes, HeldOut
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.reference import Reference

SHAPE = (7, 8, 9)
OUTCOME = Classes(("control", "Zoë's"), "sex")
RECIPE = Recipe("native", crop=[[1, 8], [2, 10], [0, 9]], intensity="none", shape=SHAPE, spacing_mm=(1.5, 1.0, 2.5))
HELD_OUT = HeldOut.of(np.array([1, 0, 1]), np.array([[1 / 3, 2 / 3], [0.9, 0.1], [0.2, 0.8]]))


def card(variations: np.ndarray | None = None, **facts: object):
    """Return a card whose average volume has values beyond half precision."""
    mean = np.random.default_rng(0).standard_normal((1, *SHAPE)).astype(np.float32) * 90_000
    reference = Reference(mean, 0.1 + 0.2, 0.9, variations)
    kept = {"repeat": 1, "shares": (0.25, 0.75), "steered": HELD_OUT, "tested": HELD_OUT}
    return Card(OUTCOME, RECIPE, reference, fold=2, num_folds=5, suffix="FLAIR", facts={"seed": 3} | facts, **kept)


def contents():
    rng = np.random.default_rng(1)
    tensors = {
        "weight": rng.standard_normal((3, 4)).astype(np.float32),
        "transposed": rng.standard_normal((3, 4)).T,
        "num_batches": np.array(7),
    }
    return Contents("cnn", {"network": "sfcn", "options": {"channels": [2, 2]}}, tensors, card())


@pytest.fixture
def folder(tmp_path):
    """Return a written model folder with all its files."""
    write_model(tmp_path / "model", contents())
    return tmp_path / "model"


def change_card(folder, **entries: object):
    """Change entries of a card as another version may have written it; None takes one out."""
    content = json.loads((folder / CARD).read_text(encoding="utf-8")) | entries
    content = {key: value for key, value in content.items() if value is not None and key != SEAL}
    (folder / CARD).write_text(json.dumps(content | {SEAL: digest_json(content)}), encoding="utf-8")


def test_what_is_saved_comes_back(folder):
    before, after = contents(), read_model(folder)
    assert (after.model, after.arguments) == (before.model, before.arguments)
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        np.testing.assert_array_equal(after.tensors[name], tensor)
        assert after.tensors[name].dtype == tensor.dtype
    assert after.card.outcome == before.card.outcome == OUTCOME
    assert after.card.outcome.name == "sex"
    assert (after.card.fold, after.card.num_folds, after.card.suffix) == (2, 5, "FLAIR")
    assert after.card.recipe == before.card.recipe == RECIPE
    assert after.card.recipe.digest() == RECIPE.digest()
    assert after.card.facts == {"seed": 3}
    assert (after.card.repeat, after.card.shares) == (1, (0.25, 0.75))
    for held in (after.card.steered, after.card.tested):
        assert held.targets.tolist() == [0, 1, 1]
        assert held.predictions.tolist() == [[0.9, 0.1], [0.333333333, 0.666666667], [0.2, 0.8]]
    np.testing.assert_array_equal(after.card.reference.mean, before.card.reference.mean)
    assert after.card.reference.variations is None
    assert (after.card.reference.lowest, after.card.reference.highest) == (0.1 + 0.2, 0.9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_how_training_volumes_vary_comes_back(tmp_path, dtype):
    variations = np.random.default_rng(2).standard_normal((4, 1, *SHAPE)).astype(dtype)
    write_model(tmp_path, replace(contents(), card=card(variations)))
    found = read_model(tmp_path).card.reference.variations
    np.testing.assert_array_equal(found, variations)
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("variations", "reason"),
    [
        (np.zeros((2, 1, 7, 8, 8), np.float16), "reference.variations are no volumes as reference.mean is one"),
        (np.zeros((2, 2, *SHAPE), np.float16), "reference.variations are no volumes as reference.mean is one"),
        (np.zeros((2, 1, *SHAPE)), "reference.variations are no volumes as reference.mean is one"),
        (np.full((1, 1, *SHAPE), 1e20, np.float32), "reference.variations has values that no scan has"),
        (np.full((1, 1, *SHAPE), np.nan, np.float16), "reference.variations has values that no scan has"),
        (np.zeros((0, 1, *SHAPE), np.float16), "reference.variations are no volumes as reference.mean is one"),
        (np.zeros((17, 1, *SHAPE), np.float16), "reference.variations are no volumes as reference.mean is one"),
        (np.zeros((), np.float16), "reference.variations are no volumes as reference.mean is one"),
    ],
    ids=["other sides", "two channels", "float64", "huge", "NaN", "none", "too many", "a number"],
)
def test_variations_that_no_training_leaves_are_refused(tmp_path, variations, reason):
    write_model(tmp_path, replace(contents(), card=card(variations)))
    with pytest.raises(UserError, match=reason):
        read_model(tmp_path)


def test_folder_holds_the_files_of_the_contract(folder):
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]


def test_writing_again_replaces_the_model(folder):
    write_model(folder, replace(contents(), model="pca", tensors={"other": np.ones(2)}))
    after = read_model(folder)
    assert after.model == "pca"
    assert list(after.tensors) == ["other"]


def test_every_flipped_byte_is_noticed(folder):
    data = (folder / WEIGHTS).read_bytes()
    for position in range(0, len(data), max(1, len(data) // 500)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        (folder / WEIGHTS).write_bytes(damaged)
        with pytest.raises(UserError, match=r"weights\.safetensors is not the file that card\.json describes"):
            read_model(folder)


@pytest.mark.parametrize("file", [WEIGHTS, CARD])
@pytest.mark.parametrize("length", [0, 1, -1])
def test_truncated_files_are_refused_by_name(folder, file, length):
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[:length] if length >= 0 or file != CARD else data.rstrip()[:length])
    with pytest.raises(UserError, match=file.replace(".", r"\.") + r" is (damaged|not the file)"):
        read_model(folder)


@pytest.mark.parametrize(
    ("file", "message"),
    [(WEIGHTS, r"weights\.safetensors is missing"), (CARD, "is no model folder")],
)
def test_missing_files_are_refused_by_name(folder, file, message):
    (folder / file).unlink()
    with pytest.raises(UserError, match=message):
        read_model(folder)


def test_card_is_written_last(tmp_path, monkeypatch):
    write_model(tmp_path, contents())

    def fail(path, data):
        assert path.name == WEIGHTS
        raise OSError("disk full")

    monkeypatch.setattr("mri3d.model_folder.write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        write_model(tmp_path, contents())
    with pytest.raises(UserError, match=r"has no card\.json"):  # and not the old card with the new weights
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 3}, r"card\.json has format 3; this version reads 1 to 2\. Use the version of mri3d that wrote it"),
        ({"format": None}, r"card\.json has format None"),
        ({"format": "2"}, r"card\.json has format '2'"),
        ({"format": True}, r"card\.json has format True"),
        ({"outcome": {"task": "survival", "name": "x"}}, r"this version reads \(KeyError: 'survival'\)"),
        ({"outcome": None}, r"this version reads \(KeyError: 'outcome'\)"),
        ({"recipe": None}, r"does not describe a model that this version reads \(KeyError: 'recipe'\)"),
        ({"sha256": {}}, r"does not describe a model that this version reads \(KeyError: 'weights\.safetensors'\)"),
        ({"recipe": {"resolution": 50, "future": 1}}, r"this version reads \(TypeError: .*future"),
        ({"recipe": {"orientation": "lia"}}, r"orientation is 'lia'"),
        ({"reference": {}}, r"this version reads \(TypeError: .*lowest"),
        ({"sha256": "abc"}, r"this version reads \(TypeError: string indices"),
    ],
)
def test_cards_of_other_versions_are_refused(folder, entries, message):
    change_card(folder, **entries)
    with pytest.raises(UserError, match=message):
        read_model(folder)


@pytest.mark.parametrize(("before", "after"), [('"channels": [\n        2', '"channels": [\n        3'), ("0.", "0.0")])
def test_a_card_that_was_edited_is_refused(folder, before, after):
    text = (folder / CARD).read_text(encoding="utf-8")
    assert before in text
    (folder / CARD).write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(UserError, match=r"card\.json was changed after it was written"):
        read_model(folder)


@pytest.mark.parametrize("text", ["[]", "3", '"card"', "null"])
def test_cards_that_are_no_objects_are_refused(folder, text):
    (folder / CARD).write_text(text)
    with pytest.raises(UserError, match=r"card\.json has format None"):
        read_model(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "fold": NaN}', "was changed after it was written"),
        ('{"format": 2, "fold": 1e999}', "was changed after it was written"),
        ("[" * 100_000, "is damaged"),
        ('{"format": 2, "fold": ' + "9" * 5000 + "}", "is damaged"),
    ],
)
def test_cards_that_python_reads_or_writes_badly_are_refused(folder, text, message):
    (folder / CARD).write_text(text)
    with pytest.raises(UserError, match=rf"card\.json {message}"):
        read_model(folder)


def make_models(root, *folders: str):
    for name in folders:
        write_model(root / name, contents())
    return root


def test_model_of_a_holdout_is_found_from_the_run_and_from_itself(tmp_path):
    run = make_models(tmp_path, "model")
    assert model_folders(run) == model_folders(run / "model") == [run / "model"]


def test_models_of_folds_are_found_in_the_order_of_their_numbers(tmp_path):
    run = make_models(tmp_path, *(f"model/fold_{k}" for k in (10, 2, 0, 1)))
    shutil.copytree(run / "model" / "fold_2", run / "model" / "fold_2_old")
    (run / "model" / "fold_3").mkdir()  # its training was cut off
    folds = [run / "model" / f"fold_{k}" for k in (0, 1, 2, 10)]
    assert model_folders(run) == model_folders(run / "model") == folds
    assert model_folders(folds[2]) == [folds[2]]


def test_folders_without_a_model_are_named(tmp_path):
    (tmp_path / "model" / "fold_1").mkdir(parents=True)
    with pytest.raises(UserError, match=f"{tmp_path} holds no model"):
        model_folders(tmp_path)
    with pytest.raises(UserError, match="nowhere is no folder"):
        model_folders(tmp_path / "nowhere")
