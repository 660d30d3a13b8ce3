"""A training scan is known again, also where it was saved anew, and a new head is not taken for one."""

import functools

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mri3d
from mri3d.errors import UserError
from mri3d.model_folder import read_model, write_model
from mri3d.models.acquaintance import copy_warning
from mri3d.volumes.fine_structure import Verdict
from mri3d.volumes.fingerprints import Fingerprints
from mri3d.volumes.sequence import InMemory
from tests.volumes.fingerprinted import fingerprints_of
from tests.volumes.test_near_copies import heads

TRAINED = 24


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twenty-eight heads as scans, the last of which are not trained on."""
    folder, affine = tmp_path_factory.mktemp("heads"), np.diag([6.0, 6.0, 6.0, 1.0])
    volumes = heads(28)[:, 0]
    paths = [folder / f"head{number:02d}.nii" for number in range(len(volumes))]
    for path, volume in zip(paths, volumes, strict=True):
        nib.save(nib.Nifti1Image(np.maximum(volume - volume[0, 0, 0], 0), affine), path)  # air is 0
    return paths


@pytest.fixture(scope="module")
def trained(files):
    """A model of two folds."""
    rows = [{"id": path.stem, "label": "ab"[number % 2]} for number, path in enumerate(files[:TRAINED])]
    table = files[0].parent / "table.csv"
    table.write_text("id,label\n" + "".join(f"{row['id']},{row['label']}\n" for row in rows))
    study = mri3d.Study.from_table(
        "table.csv", root=table.parent, id="id", label="label", scan="{id}.nii", recipe=mri3d.Recipe(32)
    )
    model = mri3d.models.Ridge(num_components=2, alpha=1.0, inner_folds=2)
    return mri3d.evaluate(study, model, mri3d.KFold(folds=2, validation=0)).model


def saved_anew(path, folder, change):
    image = nib.load(path)
    copy = folder / f"copy_of_{path.name}"
    nib.save(nib.Nifti1Image(change(np.asarray(image.dataobj)), image.affine), copy)
    return copy


CHANGES = {
    "rescaled": lambda data: np.round(900 * data / data.max()).astype(np.int16),
    "noise": lambda data: data * (1 + 0.05 * np.random.default_rng(0).standard_normal(data.shape)),
    "mirrored": lambda data: np.ascontiguousarray(data[::-1]),
    "moved": lambda data: np.roll(np.pad(data, 3), 2, (0, 1, 2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_training_scan_saved_anew_is_known_as_a_near_copy(trained, files, tmp_path, change):
    copy = saved_anew(files[3], tmp_path, CHANGES[change])
    (row,) = trained.predict([copy]).to_dict("records")
    assert "near-copy of a training scan of 1 of the 2 models that vote (similarity" in row["warnings"]
    assert row["status"] == ("unusual" if change == "noise" else "ok"), "it is noisier than all of training"


def test_a_training_scan_itself_is_called_so_and_not_a_copy(trained, files):
    (row,) = trained.predict([files[3]]).to_dict("records")
    assert "was among the training scans of 1 of the 2 models that vote" in row["warnings"]
    assert "near-copy" not in row["warnings"]


def test_new_heads_are_neither(trained, files):
    for warnings in trained.predict(files[TRAINED:])["warnings"]:
        assert "near-copy" not in warnings
        assert "among the training scans" not in warnings


def test_the_model_folder_keeps_it(trained, files, tmp_path):
    trained.save(tmp_path)
    copy = saved_anew(files[5], tmp_path, CHANGES["rescaled"])
    loaded = mri3d.load(tmp_path)
    assert loaded.predict([copy])["warnings"].tolist() == trained.predict([copy])["warnings"].tolist()
    prints = [member.card.fingerprints.values for member in loaded.members]
    assert [len(values) for values in prints] == [12, 12]
    rows = [values.tobytes() for values in prints[0]]
    assert rows == sorted(rows), "their order tells nothing of the cohort's"


def test_a_folder_without_it_predicts_as_before(trained, files, tmp_path):
    trained.save(tmp_path)
    for fold in range(2):
        contents = read_model(tmp_path / f"fold_{fold}")
        object.__setattr__(contents.card, "fingerprints", None)
        write_model(tmp_path / f"fold_{fold}", contents)
    former = mri3d.load(tmp_path)
    assert former.members[0].card.fingerprints is None
    copy = saved_anew(files[3], tmp_path, CHANGES["rescaled"])
    table, expected = former.predict([copy]), trained.predict([copy])
    assert "near-copy" not in table["warnings"][0]
    assert_array_equal(table["p_a"], expected["p_a"])


@pytest.mark.parametrize(
    ("copies", "num_members", "told"),
    [
        ([], 1, ""),
        ([Verdict(0.75, False)], 1, "may be a near-copy of a training scan of this model (similarity 0.75)"),
        (
            [Verdict(0.75, False), Verdict(0.91, True)],
            5,
            "is a near-copy of a training scan of 2 of the 5 models that vote (similarity 0.91)",
        ),
    ],
)
def test_what_is_said_of_copies(copies, num_members, told):
    assert copy_warning(copies, num_members) == told


@functools.cache
def fingerprints() -> Fingerprints:
    return fingerprints_of(InMemory(heads()), range(12))


def damaged(name, change):
    tensors = fingerprints().tensors()
    return tensors | {name: change(tensors[name])}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("values", lambda array: array[:, :-1]),
        ("values", lambda array: array.astype(np.float32)),
        ("values", lambda array: array[:0]),
        ("voxels", lambda array: array.astype(np.int64)),
        ("voxels", lambda array: array + 10**6),
        ("voxels", lambda array: array - 10**6),
        ("voxels", lambda array: array[None]),
        ("centre", lambda array: array[..., :-1]),
        ("middle", lambda array: array[:, :2]),
        ("coarse", lambda array: array[0]),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(name, change):
    with pytest.raises(ValueError, match="training scans"):
        Fingerprints.from_tensors(damaged(name, change), heads().shape[1:])


def test_they_are_held_against_the_volume(tmp_path):
    tensors = fingerprints().tensors()
    with pytest.raises(ValueError, match="coarse of the training scans"):
        Fingerprints.from_tensors(tensors, (2, *heads().shape[2:]))
    del tensors["centre"]
    with pytest.raises(KeyError, match="centre"):
        Fingerprints.from_tensors(tensors, heads().shape[1:])


def test_a_damaged_model_folder_is_told(trained, tmp_path):
    trained.save(tmp_path)
    contents = read_model(tmp_path / "fold_0")
    prints = contents.card.fingerprints
    object.__setattr__(prints, "voxels", prints.voxels + 10**6)
    write_model(tmp_path / "fold_0", contents)
    with pytest.raises(UserError, match="does not describe a model that this version reads"):
        mri3d.load(tmp_path)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_training_volumes_have_fingerprints_too(count):
    stored = fingerprints_of(InMemory(heads()), range(count))
    assert Fingerprints.from_tensors(stored.tensors(), heads().shape[1:]).nearest(heads()[8]) is None
