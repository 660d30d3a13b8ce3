"""Models and scans to predict by and with."""

import numpy as np
import pytest

from mri3d.explain.evidence import Evidence, Question
from mri3d.inference import predict_scans
from mri3d.models.heatmap import Heatmap
from mri3d.models.loading import load
from mri3d.models.trained import TrainedModel
from mri3d.report.picture import Picture
from tests.predictions.made import contents
from tests.test_inference import head, write_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model"), seed=1)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Write four scans, the second of which is none."""
    root = tmp_path_factory.mktemp("scans")
    for name in "acd":
        head(root / f"{name}.nii")
    (root / "b.nii").write_bytes(b"text")
    return root


@pytest.fixture(scope="module")
def whole(model, scans, tmp_path_factory):
    """Return what an uninterrupted call leaves, by path."""
    out = tmp_path_factory.mktemp("whole")
    assert predict_scans(model, str(scans), out) == 1
    return contents(out)


@pytest.fixture
def predicted(monkeypatch):
    """Note the names of the scans that are predicted."""
    names, predict = [], TrainedModel.predict_scan

    def noted(self, name, path, **more):
        names.append(name)
        return predict(self, name, path, **more)

    monkeypatch.setattr(TrainedModel, "predict_scan", noted)
    return names


@pytest.fixture
def quick(monkeypatch):
    """Explain and draw nothing: what takes most of a call's time."""

    def heatmap(self, found, *, method, **_):
        heat = np.full(found.scan.data.shape, found.prediction[0], np.float32)
        asked = Question(found.volume, int(found.prediction.argmax()), method)
        return Heatmap(asked, Evidence(heat), heat, found.scan.affine, found.scan.code)

    monkeypatch.setattr(TrainedModel, "heatmap", heatmap)
    monkeypatch.setattr(
        "mri3d.predictions.page.slices", lambda view, **_: Picture(view.heatmap.tobytes()[:9], "image/png", "")
    )


@pytest.fixture
def known(quick, monkeypatch):
    """Load a model once, predict a scan once, and wait for no disk besides, for tests of many calls."""
    models, results, predict = {}, {}, TrainedModel.predict_scan

    def loaded(folder, *, trust=()):
        if folder not in models:
            models[folder] = load(folder, trust=trust)
        return models[folder]

    def predicted_once(self, name, path, **_):
        key = (id(self), name, path, path.is_file() and path.read_bytes())
        if key not in results:
            results[key] = predict(self, name, path)
        return results[key]

    monkeypatch.setattr("mri3d.inference.load", loaded)
    monkeypatch.setattr(TrainedModel, "predict_scan", predicted_once)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
