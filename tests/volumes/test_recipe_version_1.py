"""Version 1 of the recipe, for models and runs of mri3d up to 0.2: the volumes that 0.2 made, and its digests."""

from dataclasses import replace

import numpy as np
import pytest

from mri3d.scans.scan import Scan
from mri3d.volumes.recipe import Recipe
from tests.scans.phantom import oblique_affine, reorder
from tests.volumes.planted import scan_of

SHAPE = (70, 76, 41)  # above 64 only every second voxel is sampled
RECIPES = {
    "pad": {"resolution": 20},
    "warp": {"resolution": 24, "resize": "warp", "intensity": "minmax"},
    "native": {"resolution": "native", "shape": (50, 60, 30)},
    "kept": {"resolution": 15, "crop": "none", "intensity": "none"},
    "box": {"resolution": 12, "crop": ((5, 60), (3, 33), (6, 38)), "orientation": "stored", "resize": "warp"},
}


EXPECTED = {
    ("head", "pad"): [
        -2.614177,
        1.690428,
        -3.716859,
        3.897803,
        -0.004673846,
        -0.004287133,
        -6.560525e-05,
        -6.761048,
        29.37193,
        -11.82699,
    ],
    ("head", "warp"): [
        0.2080761,
        0.2246573,
        0.01319568,
        0.958627,
        -0.002935683,
        -0.000108001,
        -0.0003337424,
        -10.10932,
        33.45224,
        -12.27123,
    ],
    ("head", "native"): [
        -1.956759,
        2.332116,
        -4.713579,
        4.627477,
        0.003599808,
        0.0003028475,
        -0.001331215,
        -8.613631,
        29.80198,
        -13.60842,
    ],
    ("head", "kept"): [
        18.37063,
        28.53475,
        4.057137,
        347.8126,
        -0.1732926,
        -0.08932266,
        -0.09274349,
        -7.364253,
        29.90428,
        -4.748896,
    ],
    ("head", "box"): [
        -1.995422,
        1.624017,
        -3.219575,
        3.327385,
        -0.01710404,
        0.001258321,
        0.001261932,
        0.6820681,
        24.24851,
        8.233809,
    ],
    ("brain", "pad"): [
        -2.699757,
        1.59789,
        -3.579621,
        3.748775,
        -0.007190787,
        -0.002002036,
        -0.0005518954,
        -3.279251,
        32.31929,
        -8.280143,
    ],
    ("brain", "warp"): [
        0.1757446,
        0.2343226,
        0,
        0.975581,
        -0.002659142,
        -6.929895e-05,
        -0.000311151,
        -6.348773,
        36.87699,
        -8.584847,
    ],
    ("brain", "native"): [
        -2.732818,
        2.009888,
        -4.089617,
        4.145107,
        -9.560935e-05,
        -0.000119044,
        3.948099e-05,
        -8.613631,
        29.80198,
        -13.60842,
    ],
    ("brain", "kept"): [
        5.619721,
        15.85128,
        0,
        104.1703,
        -0.05004748,
        0.01536303,
        0.02795925,
        -7.364253,
        29.90428,
        -4.748896,
    ],
    ("brain", "box"): [
        -2.084353,
        1.1417,
        -2.632767,
        2.77511,
        -0.001016914,
        -0.002776917,
        0.00216708,
        0.6820681,
        24.24851,
        8.233809,
    ],
    ("LIA", "box"): [
        -1.628912,
        1.731084,
        -3.276012,
        3.271994,
        -0.009595597,
        0.008481761,
        -0.00609071,
        41.77717,
        32.4682,
        24.65366,
    ],
    ("PSR", "box"): [
        -2.166034,
        2.440986,
        -4.838551,
        1.610534,
        -0.01907209,
        -0.01564583,
        -0.006098988,
        -6.697131,
        67.24319,
        4.795052,
    ],
}
"""Of mri3d 0.2; each stored order of the head gives the same but where the order is kept."""


def scans() -> dict[str, Scan]:
    """Make a head in noisy air with a spike, a brain without any, and the head in other orders; of whole numbers."""
    i, j, k = np.indices(SHAPE)
    pattern = (131 * i + 197 * j + 389 * k + 7 * i * j + 11 * j * k) % 97
    apart = ((i - 36) / 27) ** 2 + ((j - 39) / 30) ** 2 + ((k - 20) / 15) ** 2
    bright = (i - 45) ** 2 + (j - 30) ** 2 + (2 * (k - 24)) ** 2 < 80
    head = np.where(apart < 1, 60 + pattern // 2 + 70 * bright, pattern % 11).astype(np.int16)
    head[30, 40, 20] = 30000
    brain = np.where(apart < 0.7, 40 + pattern // 3 + 50 * bright, 0).astype(np.float32)
    turned = {order: scan_of(*reorder(head, oblique_affine(), order)) for order in ("LIA", "PSR")}
    view = replace(scan_of(head), data=np.ascontiguousarray(head[::-1, :, ::-1])[::-1, :, ::-1])
    return {"head": scan_of(head), "brain": scan_of(brain), "strided": view, **turned}


def fingerprint(recipe: Recipe, scan: Scan) -> list[float]:
    """Compute of a volume what tells it from any that is shifted, scaled or turned, and where it lies in the world."""
    flat = recipe.volume(scan).ravel().astype(np.float64)
    waves = [np.cos(step * np.arange(flat.size)) @ flat / flat.size for step in (0.02, 0.9, 2.4)]
    return [flat.mean(), flat.std(), flat.min(), flat.max(), *waves, *(recipe.affine(scan) @ (3, 4, 5, 1))[:3]]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scan", ["head", "brain", "strided", "LIA", "PSR"])
def test_volumes_are_those_of_earlier_versions(scan, name):
    expected = EXPECTED.get((scan, name), EXPECTED["head", name])
    found = fingerprint(Recipe(**RECIPES[name], version=1), scans()[scan])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if "crop" not in RECIPES[name]:
        now = fingerprint(Recipe(**RECIPES[name]), scans()[scan])
        assert not np.allclose(now, expected, rtol=1e-4, atol=1e-5), "the figures tell the versions apart"


@pytest.mark.parametrize(
    ("recipe", "digest"),
    [
        (Recipe(version=1), "a96920ab5bfa75e86363901ee8baf405439756879afb06216c889b265557075f"),
        (
            Recipe(20, intensity="minmax", resize="warp", version=1),
            "df2cb1986f5bf89a5c862d292fa4d004a5b0b7b328f8a8862b09e1543c707443",
        ),
        (
            Recipe("native", shape=(12, 13, 14), spacing_mm=(1, 2, 3), version=1),
            "f04e536a3bb64e6189d267bc145e7ff9304572657ac2b49cf856a48e48be9d56",
        ),
        (
            Recipe(25, crop=((5, 40), (6, 41), (3, 33)), orientation="stored", version=1),
            "02699be8c43cad2acfeb1afc00e2a0688680e02e5809fa113a49f340a98a08c6",
        ),
    ],
)
def test_digest_and_arguments_are_those_of_earlier_versions(recipe, digest):
    assert recipe.digest() == digest
    assert "version" not in recipe.arguments()
    assert Recipe(**recipe.arguments(), version=1) == recipe
    newer = replace(recipe, version=2)
    assert newer.digest() != digest
    assert newer.arguments() == recipe.arguments() | {"version": 2}
