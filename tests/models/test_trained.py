"""What a trained model does with arrays and scans: predict, and show why."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import mri3d
from mri3d import KFold, Study, UserError, evaluate, fit, models
from mri3d.errors import option
from mri3d.models.scan_prediction import without_training_advice
from tests.scans.phantom import oblique_affine, reorder, write_scan
from tests.studies import HEAD_REGION, REGION, SHAPE, age_study, class_study, cnn, head, planted, write_heads

RIDGE = models.Ridge(num_components=0.9, inner_folds=2)


@pytest.fixture(scope="module", autouse=True)
def on_one_core(one_core):
    """Fit the networks below on one core."""


@pytest.fixture(scope="module")
def study():
    return class_study()


@pytest.fixture(scope="module")
def ages():
    return age_study()


@pytest.fixture(scope="module")
def linear(study):
    return evaluate(study, models.LinearSVM(C=1.0, num_components=0.9, inner_folds=2), KFold(folds=3), seed=1)


@pytest.fixture(scope="module")
def network(study):
    return evaluate(study, cnn(epochs=3), KFold(folds=3), seed=1)


@pytest.mark.parametrize("which", ["linear", "network"])
def test_the_evidence_in_arrays_lies_on_the_planted_region(which, request):
    model = request.getfixturevalue(which).model
    if which == "network":  # three epochs teach little; the form is what matters
        model = fit(class_study(48, effect=3.0), cnn(epochs=15, lr=0.05, channels=(8, 8), augmentation=None))
    volumes = planted([3.0, 3.0, 0.0], seed=11)
    heat = model.explain_arrays(volumes, target="patient")
    assert heat.shape == (3, *SHAPE)
    assert heat.dtype == np.float32
    assert np.abs(heat).max(axis=(1, 2, 3)) == pytest.approx([1, 1, 1])
    inside = np.zeros(SHAPE, dtype=bool)
    inside[REGION] = True
    for one in heat[:2].clip(min=0):
        assert one[inside].mean() > 4 * one[~inside].mean()
    predicted = model.explain_arrays(volumes)
    names = [model.outcome.names[k] for k in model.predict_arrays(volumes).argmax(axis=1)]
    for row, name in enumerate(names):
        np.testing.assert_array_equal(predicted[row], model.explain_arrays(volumes[row : row + 1], target=name)[0])
    assert names[0] == "patient"


def test_the_evidence_for_a_measure_has_both_signs(ages):
    model = fit(ages, RIDGE)
    heat = model.explain_arrays(planted([4.0, -4.0], seed=11))
    assert np.abs(heat).max(axis=(1, 2, 3)) == pytest.approx([1, 1])
    raised, lowered = (one[REGION].mean() for one in heat)
    assert raised > 0.2
    assert lowered < -0.2
    with pytest.raises(UserError, match=r"target='old' is no target: the model predicts age\. Leave it out"):
        model.explain_arrays(planted([1.0]), target="old")


def test_unknown_targets_and_methods_are_named(linear, network, study):
    volume = planted([1.0])
    with pytest.raises(UserError, match=r"target='patent' is no class of this model\. Did you mean 'patient'\?"):
        linear.model.explain_arrays(volume, target="patent")
    with pytest.raises(UserError, match=r"method='integrated' is none of this model's\. Did you mean 'integrated_gr"):
        linear.model.explain_arrays(volume, method="integrated")
    with pytest.raises(UserError, match=r"method='gradcam' is none of this model's.* Give one of integrated_gradients"):
        linear.model.explain_arrays(volume, method="gradcam")
    gradients = ("integrated_gradients", "smoothgrad", "gradcam", "hirescam", "guided_backprop")
    assert network.model.heatmaps == (*gradients, "occlusion", "region_occlusion")
    maps = [network.model.explain_arrays(volume, method=method) for method in network.model.heatmaps[:-1]]
    assert len({one.tobytes() for one in maps}) == len(maps)
    assert linear.model.heatmaps == ("integrated_gradients", "weights", "pattern", "occlusion", "region_occlusion")
    with pytest.raises(UserError, match="models of this kind have no heatmaps"):
        fit(study, models.KNN(k=3, num_components=3, inner_folds=2)).explain_arrays(volume)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (np.zeros((2, 7, 8, 10)) + np.arange(10), r"volumes of 1 x 7 x 8 x 10 .* do not fit a model of 1 x 7 x 8 x 9"),
        (planted([0.0])[:, None].repeat(2, axis=1), r"volumes of 2 x 7 x 8 x 9 .* do not fit a model of 1 x 7 x 8 x 9"),
        (planted([0.0])[0], r"volumes are an array of 7 x 8 x 9\."),
        (np.full((1, *SHAPE), np.nan), r"volume 0 has voxels that are NaN"),
        (np.ones((1, *SHAPE)), r"volume 0 is constant"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(linear, made, message):
    for call in (linear.model.predict_arrays, linear.model.explain_arrays):
        with pytest.raises(UserError, match=message):
            call(made)


def test_a_model_of_arrays_says_why_it_cannot_read_a_scan(linear, tmp_path):
    path = write_scan(tmp_path / "a.nii", head())
    for call in (linear.model.predict, linear.model.explain):
        with pytest.raises(UserError, match=r"trained on arrays, .*Use predict_arrays and explain_arrays, or train on"):
            call(path)


def test_several_channels_are_learnt_from_together():
    labels = ["a", "b"] * 12
    volumes = np.stack([planted([0] * 24, seed=1), planted([0, 2] * 12, seed=2)], axis=1)
    study = Study.from_arrays(volumes, labels)
    for model in (RIDGE, cnn(epochs=2)):
        trained = fit(study, model)
        assert trained.predict_arrays(volumes).shape == (24, 2)
        assert trained.explain_arrays(volumes[:2]).shape == (2, *SHAPE)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    """Write heads in two orders of storage, on an oblique grid, and learn from them."""
    root = tmp_path_factory.mktemp("heads")
    write_heads(root)
    affine = oblique_affine(np.array([9.0, 9.0, 8.0]))
    for number, order in ((90, "RAS"), (91, "LIA"), (92, "PSR")):
        data, stored = reorder(head(1.8, seed=3), affine, order)
        write_scan(root / f"new{number}.nii.gz", data, stored, code=2)
    table = {"root": root, "resolution": 16}
    study = Study.from_table("study.csv", **table)
    ages = Study.from_table("study.csv", label="age", task="regression", **table)
    return root, fit(study, RIDGE), fit(ages, RIDGE)


def test_scans_are_predicted_as_a_table(heads):
    root, model, _ = heads
    (root / "bad.nii").write_bytes(b"text")
    frame = model.predict([root / "new90.nii.gz", root / "bad.nii"])
    assert list(frame.columns) == ["scan", "prediction", "p_a", "p_b", "status", "warnings"]
    good, bad = frame.to_dict("records")
    assert (good["scan"], good["prediction"]) == ("new90", "b")
    assert good["p_a"] + good["p_b"] == pytest.approx(1)
    assert bad["status"] == "failed"
    assert "not a NIfTI file" in bad["warnings"]
    assert pd.isna(bad["p_a"])
    assert pd.isna(bad["prediction"])
    (absent,) = model.predict(root / "nowhere.nii").to_dict("records")
    assert absent["status"] == "failed"
    assert "nowhere.nii does not exist" in absent["warnings"]
    with pytest.raises(UserError, match=r"nowhere\*"):
        model.predict(str(root / "nowhere*.nii"))
    volume = model.recipe.volume(mri3d.scans.scan.read_scan(root / "new90.nii.gz"))
    assert model.predict_arrays(volume[None])[0].tolist() == pytest.approx([good["p_a"], good["p_b"]])


@pytest.mark.parametrize(("number", "order"), [(90, "RAS"), (91, "LIA"), (92, "PSR")])
def test_explained_scans_keep_their_own_grid_and_affine(heads, number, order):
    root, model, ages = heads
    path = root / f"new{number}.nii.gz"
    scan, image = nib.load(path), model.explain(path, target="b")
    assert isinstance(image, nib.Nifti1Image)
    assert image.shape == scan.shape
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    assert nib.aff2axcodes(image.affine) == tuple(order)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (2, 2)
    ras = nib.as_closest_canonical(image)
    heat = np.asarray(ras.dataobj)
    assert heat.dtype == np.float32
    inside = np.zeros(heat.shape, dtype=bool)
    inside[HEAD_REGION] = True
    assert inside[np.unravel_index(heat.argmax(), heat.shape)], "the peak lies on what makes it b"
    assert heat[inside].mean() > 5 * heat[~inside].clip(min=0).mean()
    older = np.asarray(nib.as_closest_canonical(ages.explain(path)).dataobj)
    assert older[inside].mean() > 5 * np.abs(older[~inside]).mean()


def test_a_scan_that_was_among_the_training_scans_is_named_in_any_order_and_type(heads, tmp_path):
    root, model, ages = heads
    seen = nib.load(root / "s03.nii")
    data, affine = reorder(np.asarray(seen.dataobj), seen.affine, "LIA")
    copies = [root / "s03.nii", write_scan(tmp_path / "turned.nii.gz", data.astype(np.float64), affine)]
    for one in (model, ages):
        told = one.predict([*copies, root / "new90.nii.gz"])["warnings"]
        assert ["was among the training scans of this model" in warning for warning in told] == [True, True, False]
        assert "unlike" not in told[0]
    card = model.members[0].card
    assert len(card.training) == 24
    assert list(card.training) == sorted(card.training)
    model.save(tmp_path / "model")
    assert "s03.nii" not in (tmp_path / "model/card.json").read_text()
    (row,) = mri3d.load(tmp_path / "model").predict(copies[1]).to_dict("records")
    assert row["warnings"] == "was among the training scans of this model"
    assert row["status"] == "ok"


def test_how_many_of_the_models_that_vote_know_a_scan_is_told(heads):
    root, _, _ = heads
    study = Study.from_table("study.csv", root=root, resolution=16)
    model = evaluate(study, RIDGE, KFold(folds=3, validation=0.3), seed=1).model
    told = model.predict([root / f"s{number:02}.nii" for number in (0, 7)])["warnings"]
    for warning in told:  # once tested; a scan that steers training was seen too
        assert "was among the training scans of 2 of the 3 models that vote" in warning


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            f"a is a mask. Name what it was made of, or, if its shape counts, set {option('preprocess', 'cube')}.",
            "a is a mask. Name what it was made of, or use a model that was trained with another preprocessing.",
        ),
        (
            f"a has 3 voxels, too few for {option('preprocess.crop', 7)}. Choose another {option('preprocess.crop')}.",
            "a has 3 voxels, too few for crop=7. Use a model that was trained with another preprocessing.",
        ),
        ("a is truncated. Copy it again, or not.", "a is truncated. Copy it again, or not."),
    ],
)
def test_the_advice_on_a_scan_fits_what_it_is(error, told):
    assert str(without_training_advice(UserError(error))) == told


def test_a_scan_without_orientation_gets_no_advice_to_train_otherwise(heads, tmp_path):
    _, model, _ = heads
    path = write_scan(tmp_path / "a.nii", head(), code=0)
    (row,) = model.predict(path).to_dict("records")
    assert row["status"] == "failed"
    assert "does not say which way" in row["warnings"]
    assert "Set it in the file, or use a model that was trained with another preprocessing." in row["warnings"]
    assert "stored" not in row["warnings"]
    with pytest.raises(UserError, match="does not say which way") as raised:
        model.explain(path)
    assert "preprocess" not in raised.value.on_command_line().replace("preprocessing", "")


def test_a_scan_that_cannot_be_explained_is_told(heads, tmp_path):
    root, model, _ = heads
    (tmp_path / "bad.nii").write_bytes(b"text")
    with pytest.raises(UserError, match="not a NIfTI file"):
        model.explain(tmp_path / "bad.nii")
    with pytest.raises(UserError, match=r"target='c' is no class of this model\..* Its classes: a, b"):
        model.explain(root / "new90.nii.gz", target="c")
    with pytest.raises(UserError, match=r"method='lime' is none of this model's\..* Give one of integrated_gradients"):
        model.explain(root / "new90.nii.gz", method="lime")
