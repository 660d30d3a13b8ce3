"""Models and scans to predict by and with."""

import pytest

from mri3d.inference import predict_scans
from mri3d.models.trained import TrainedModel
from tests.predictions.made import contents
from tests.test_inference import head, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), seed=1)


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
