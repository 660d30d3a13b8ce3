"""Headers that lie: what another field contradicts never changes the network's input in silence."""

from collections import Counter

import numpy as np
import pytest

from mri3d.scans.scan import canonical, read_scan
from tests.faults.header_edits import KINDS, RECIPE, contradicted_part, edits, tried, written
from tests.scans.phantom import oblique_affine

ROTATED = oblique_affine(np.array([4.0, 4.5, 5.0]))


@pytest.fixture(scope="module")
def head(demo_cohort):
    """A small head [X, Y, Z], int16, at 4 to 5 mm, which is what the demo's would measure."""
    data, affine = canonical(read_scan(demo_cohort.scans[0]))
    assert affine.shape == (4, 4)
    return np.ascontiguousarray(data[::2, ::2, ::2]).astype(np.int16) * 7


def lying(tmp_path, head, kind, count, seed):
    affine = ROTATED.copy()
    affine[:3, 3] = -affine[:3, :3] @ (np.array(head.shape) / 2)
    path = tmp_path / f"{kind}.nii"
    content = written(path, head, affine, kind)
    scan = read_scan(path)
    volume = RECIPE.volume(scan)
    outcomes = [tried(path, content, edit, scan, volume) for edit in edits(content[:352], count, seed)]
    for outcome in outcomes:
        if outcome.answer == "refused":
            assert outcome.message.startswith(f"{path} ")
        if outcome.answer == "silent":
            part = tried(path, content, contradicted_part(kind, outcome.edit, content), scan, volume)
            assert part.answer != "silent", (outcome.edit.fields, part.edit.fields, part.change)
    return Counter(outcome.answer for outcome in outcomes)


@pytest.mark.parametrize("kind", KINDS)
def test_some_edits(tmp_path, head, kind):
    assert sum(lying(tmp_path, head, kind, 60, seed=0).values()) == 60


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most_silent"), [("both", 0), ("sform", 5), ("qform", 20)])
def test_three_thousand_edits(tmp_path, head, kind, most_silent):
    counts = lying(tmp_path, head, kind, 1000, seed=1)
    print(kind, dict(counts))  # noqa: T201 (for docs/reliability.md)
    assert counts["silent"] <= most_silent, "what nothing contradicts"
