"""Scans that are not what a model was trained on: named, and not predicted where that means nothing, unless forced."""

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from mri3d import Recipe, Study, UserError, fit, load, models
from mri3d.files import digest, digest_json
from mri3d.inference import predict_scans
from mri3d.model_folder import CARD, SEAL, WEIGHTS
from mri3d.models.trained import TrainedModel
from tests.scans.phantom import write_scan
from tests.studies import SPACING_MM, head, write_heads
from tests.test_inference import rows_of

AFFINE = np.diag([*SPACING_MM, 1.0])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    write_heads(folder, 30)
    return folder


@pytest.fixture(scope="module")
def trained(root):
    study = Study.from_table("study.csv", root=root, id="subject", scan="{id}.nii", recipe=Recipe(16))
    return fit(study, models.Ridge(num_components=0.9, alpha=1.0))


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """New scans: a head like the others, one with voxels of half their size, and a mask."""
    folder = tmp_path_factory.mktemp("new")
    write_scan(folder / "good.nii", head(1.2, seed=400), AFFINE)
    write_scan(folder / "small.nii", head(1.2, seed=401), AFFINE @ np.diag([0.5, 0.5, 0.5, 1]))
    write_scan(folder / "mask.nii", (head(1.2, seed=402) > 50).astype(np.uint8), AFFINE)
    return folder


def test_what_is_outside_is_not_predicted_and_says_why(trained, scans):
    rows = trained.predict(scans).set_index("scan")
    assert rows["status"].to_dict() == {"good": "ok", "mask": "outside", "small": "outside"}
    assert rows.loc["good", ["p_a", "p_b"]].sum() == pytest.approx(1)
    assert rows.loc[["mask", "small"], ["prediction", "p_a", "p_b"]].isna().all(axis=None)
    told = rows.loc["small", "warnings"]
    assert told.startswith("unlike the training scans: ")
    assert "the head measures" in told
    assert "(training scans: " in told
    assert "is a mask, not a scan of a head" in rows.loc["mask", "warnings"]


def test_it_is_predicted_where_that_is_forced(trained, scans):
    row = trained.predict([scans / "small.nii"], force=True).iloc[0]
    assert row["status"] == "outside"
    assert row["p_a"] + row["p_b"] == pytest.approx(1)
    with pytest.raises(UserError, match=r"small.nii is unlike the training scans: .* force=True goes on all the same"):
        trained.explain(scans / "small.nii")
    assert trained.explain(scans / "small.nii", force=True).shape == head().shape


def test_a_saved_model_judges_alike(trained, scans, tmp_path):
    trained.save(tmp_path)
    again = load(tmp_path).predict(scans)
    before = trained.predict(scans)
    assert again["status"].tolist() == before["status"].tolist()
    assert again["warnings"].tolist() == before["warnings"].tolist()


def test_a_call_counts_them_and_ends_with_status_1(trained, scans, tmp_path, caplog):
    trained.save(tmp_path / "model")
    places = [str(scans / f"{name}.nii") for name in ("good", "small")]
    assert predict_scans(tmp_path / "model", places, tmp_path / "a", heatmap="none") == 1
    assert "1 scan is outside of what the model was trained on: nothing is predicted of it (force=true" in caplog.text
    assert predict_scans(tmp_path / "model", places, tmp_path / "b", heatmap="none", force=True) == 0
    assert {name: row["status"] for name, row in rows_of(tmp_path / "b").items()} == {"good": "ok", "small": "outside"}
    assert predict_scans(tmp_path / "model", places[:1], tmp_path / "c", heatmap="none") == 0


def test_most_of_the_models_that_vote_must_find_so(trained, scans):
    (member,) = trained.members
    known = replace(member.card.contract.deviations, limit=1e6)
    lenient = replace(member, card=replace(member.card, contract=replace(member.card.contract, deviations=known)))
    one, two = TrainedModel((member, lenient, lenient)), TrainedModel((member, member, lenient))
    assert one.predict([scans / "small.nii"])["status"].tolist() == ["ok"]
    assert two.predict([scans / "small.nii"])["status"].tolist() == ["outside"]


def test_models_of_versions_without_a_contract_warn_as_they_did(trained, scans):
    (member,) = trained.members
    former = TrainedModel((replace(member, card=replace(member.card, contract=None)),))
    rows = former.predict([scans / "good.nii", scans / "small.nii"])
    assert rows["p_a"].notna().all(), "the average training scan tells nothing of voxel sizes"
    strange = replace(member.card.reference, lowest=0.999, highest=1.0)
    former = TrainedModel((replace(member, card=replace(member.card, contract=None, reference=strange)),))
    (row,) = former.predict([scans / "good.nii"]).to_dict("records")
    assert row["status"] == "unusual"
    assert "unlike every training scan: correlation" in row["warnings"]


def test_models_of_arrays_have_none():
    study = Study.from_arrays(np.random.default_rng(0).random((12, 4, 4, 4)), ["a", "b"] * 6)
    (member,) = fit(study, models.Ridge(num_components=0.9, alpha=1.0)).members
    assert member.card.contract is None


@pytest.mark.parametrize(
    "change",
    [
        lambda card, tensors: card["contract"].update(limit=-1.0),
        lambda card, tensors: card["contract"].update(measures=["size"]),
        lambda card, tensors: card["contract"].pop("centre"),
        lambda card, tensors: card.update(contract=[1]),
        lambda card, tensors: tensors.pop("contract.mean"),
        lambda card, tensors: tensors.update({"contract.variances": np.zeros(3, np.float32)}),
    ],
)
def test_a_contract_that_cannot_be_is_refused(trained, tmp_path, change):
    trained.save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    tensors = dict(safetensors.numpy.load_file(tmp_path / WEIGHTS))
    card.pop(SEAL)
    change(card, tensors)
    safetensors.numpy.save_file(tensors, tmp_path / WEIGHTS)
    card["sha256"] = {WEIGHTS: digest((tmp_path / WEIGHTS).read_bytes())}
    (tmp_path / CARD).write_text(json.dumps(card | {SEAL: digest_json(card)}))
    with pytest.raises(UserError, match="does not describe a model that this version reads"):
        load(tmp_path)
