"""What of a brain that was found can be believed: its size, its proportions, how it lies, how well it is aligned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mri3d.brain.brain import Brain
from mri3d.scans.scan import ScanError
from tests.volumes.planted import scan_of

SCAN = scan_of(np.random.default_rng(0).random((9, 9, 9)).astype(np.float32))


def brain(degrees=0.0, stretched=(1.0, 1.0, 1.0), **found: float) -> Brain:
    """Return a brain of an adult, turned about an oblique axis, and stretched along its own axes before that."""
    pose = np.eye(4)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * np.array([2, 1, -2]) / 3).as_matrix()
    pose[:3, :3] = turn @ np.diag(np.array([0.92, 0.95, 0.86]) * stretched)
    figures = {"volume_ml": 1400.0, "overlap": 0.97, "similarity": 0.53} | found
    return Brain(np.ones((9, 9, 9), bool), pose, False, **figures)


@pytest.mark.parametrize(
    "good",
    [
        brain(),
        brain(35.0),
        brain(stretched=(1.06, 0.95, 1.0)),
        brain(stretched=(1.1, 1.1, 1.1), volume_ml=1800.0),
        brain(similarity=0.39),
    ],
)
def test_brains_as_people_have_them_pass(good):
    good.check(SCAN)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (brain(volume_ml=410.0), r"what looks like a brain has 410 ml, and brains have 700 to 2,200"),
        (brain(similarity=0.12), r"does not come to lie on the template: correlation 0\.12 \(at least 0\.25\)"),
        (brain(overlap=0.85), r"overlap 0\.85 \(at least 0\.9\)"),
        (
            brain(90.0),
            r"lies turned by 90 degrees \(at most 60\), as where the header is of another scan",
        ),
        (brain(stretched=(1.5, 1, 1)), r"is stretched along one axis: .* \d+\.\d standard deviations"),
        (brain(20.0, stretched=(1, 1, 1 / 1.5)), r"is stretched along one axis"),
        (brain(101.0, volume_ml=5.0), r"has 5 ml, and brains have 700 to 2,200; it lies turned by 101 degrees"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_figures(bad, told):
    with pytest.raises(ScanError, match=rf"sub-07\.nii: .*{told}.*Check contrast"):
        bad.check(SCAN)


def test_size_and_pose_are_those_of_the_alignment():
    assert brain(31.0).turned_deg == pytest.approx(31.0)
    assert brain(31.0).deviation_of_size == pytest.approx(brain().deviation_of_size)
    ratio = brain(stretched=(1.1, 1, 1)).deviation_of_size - brain().deviation_of_size
    assert ratio == pytest.approx(np.log(1.1) / 0.11)
    assert brain(stretched=(1.1, 1.1, 1.1)).deviation_of_shape == pytest.approx(brain().deviation_of_shape)
