"""What the evidence in several scans has in common is written for each class apart, whatever classes are called."""

from types import SimpleNamespace

import numpy as np

from mri3d import group_maps
from mri3d.group_maps import GroupedEvidence
from mri3d.outcome import Classes
from tests.studies import SHAPE


def test_evidence_for_classes_that_differ_by_a_sign_only_is_kept_apart(monkeypatch, tmp_path):
    stems = []
    monkeypatch.setattr(group_maps, "CohortSpace", SimpleNamespace(of=lambda *given: None))
    monkeypatch.setattr(
        group_maps, "write_group", lambda folder, stem, maps, **more: stems.append((stem, len(maps))) or []
    )
    study = SimpleNamespace(
        ids=[str(row) for row in range(7)],
        outcome=Classes(("a b", "a/b")),
        volumes=np.zeros((7, 1, *SHAPE), np.float32),
        recipe=object(),
        cohort=SimpleNamespace(scans=range(7)),
    )
    grouped = GroupedEvidence(study)
    for row in range(7):
        grouped.keep(row, row % 2, np.ones(SHAPE, np.float32))
    grouped.write(tmp_path)
    assert stems == [("evidence_0", 4), ("evidence_1", 3)]
