"""The same seed gives the same bits on a GPU, and torch is left as it was."""

import warnings

import numpy as np
import pytest
import torch

from mri3d.models.network.repeatable import repeatable
from mri3d.models.network.trainer import build_trainer
from tests.explain.asked import ask, usual
from tests.models.blobs import cnn, training

GPU = torch.cuda.is_available()


def settings_of_torch():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
    )


def set_torch(enabled, warn_only, benchmark, tf32):
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cudnn.allow_tf32 = tf32


@pytest.fixture(autouse=True)
def torch_as_it_was():
    before = settings_of_torch()
    yield
    set_torch(*before)


def settings_within():
    warnings.warn("max_pool3d_with_indices_backward_cuda does not have a deterministic implementation", stacklevel=1)
    return settings_of_torch()


@repeatable()
def failing():
    raise KeyError


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize("before", [(False, False, True, True), (True, False, False, False), (True, True, True, True)])
@pytest.mark.parametrize("full_precision", [False, True])
def test_what_is_repeatable_on_a_gpu_leaves_torch_as_it_was(monkeypatch, gpu, before, full_precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    set_torch(*before)
    within = repeatable(full_precision=full_precision)(settings_within)()
    assert within == ((True, True, False, before[-1] and not full_precision) if gpu else before)
    assert settings_of_torch() == before
    with pytest.raises(KeyError):
        failing()
    assert settings_of_torch() == before


def test_a_fit_leaves_torch_as_it_was(tmp_path):
    before = settings_of_torch()
    cnn(epochs=1, trainer={"deterministic": True}).fit(training(tmp_path))
    assert settings_of_torch() == before


@pytest.mark.parametrize(
    ("gpu", "settings", "expected"),
    [(True, {}, True), (True, {"deterministic": False}, False), (False, {}, False)],
)
def test_algorithms_are_deterministic_on_a_gpu_unless_told_otherwise(tmp_path, monkeypatch, gpu, settings, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    torch.use_deterministic_algorithms(False)
    build_trainer(cnn(trainer=settings).trainer, training(tmp_path), [], bar=False)
    assert torch.are_deterministic_algorithms_enabled() == expected
    assert torch.is_deterministic_algorithms_warn_only_enabled() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
def test_same_seed_same_bits_on_a_gpu(tmp_path):
    fits = [cnn(epochs=3, trainer={"accelerator": "gpu"}) for _ in range(2)]
    for number, model in enumerate(fits):
        model.fit(training(tmp_path / str(number)))
    first, second = (model.network_.state_dict() for model in fits)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.gpu
@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
def test_a_gpu_predicts_and_explains_like_a_cpu(tmp_path):
    data = training(tmp_path)
    model = cnn(epochs=3, trainer={"accelerator": "gpu"})
    model.fit(data)
    rows = np.arange(4)
    volume, baseline = np.asarray(data.volumes[0]), np.asarray(data.volumes[1])
    regions = np.indices(volume.shape[1:]).sum(axis=0) % 3

    def results():
        return [model.predict(data.volumes, rows)] + [
            model.explain(ask(volume, method, target=1, regions=regions), reference=usual(baseline)).values
            for method in model.heatmaps
        ]

    first, second = results(), results()
    assert next(model.network_.parameters()).is_cuda
    model.device_ = torch.device("cpu")
    for on_gpu, again, on_cpu in zip(first, second, results(), strict=True):
        assert np.array_equal(on_gpu, again)
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=1e-4 * np.abs(on_cpu).max())
