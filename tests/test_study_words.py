"""What a study tells of itself: whose volume is unlike the others, what matched nothing, and whom it counts."""

import re
from dataclasses import replace

import numpy as np
import pytest

from mri3d import All, KFold, Study, evaluate, fit, models
from mri3d.cohort.people import num_participants
from tests.studies import head, write_heads

NO_EVIDENCE = ", no evidence that it is better than chance"


def strange_heads():
    """Return heads that are much alike, but for one of noise."""
    volumes = np.stack([head(seed=seed) for seed in range(12)])
    volumes[7] = np.random.default_rng(5).random(volumes.shape[1:])
    return volumes


def test_a_volume_unlike_the_others_is_named_wherever_the_study_is_used(tmp_path, caplog):
    study = Study.from_arrays(strange_heads(), ["a", "b"] * 6, ids=[f"s{number}" for number in range(12)])
    assert study.describe() == "12 sessions: 12 take part (a 6, b 6), 1 unlike the others (s7)"
    assert list(study.outliers) == ["s7"]
    assert study.outliers["s7"].startswith("unlike the other scans: correlation ")
    warned = {session.id: session.warnings for session in study.cohort_with_outliers.sessions if session.warnings}
    assert warned == {"s7": (study.outliers["s7"],)}
    model = models.KNN(k=1, num_components=2, inner_folds=2)
    evaluate(study, model, KFold(folds=2), folder=tmp_path / "folder")
    assert caplog.text.count("subject s7 is unlike the other scans") == 1, "once for each study"
    assert re.search(r"^s7,.*unlike the other scans", (tmp_path / "folder/cohort.csv").read_text(), re.MULTILINE)
    caplog.clear()
    fit(Study.from_arrays(strange_heads(), ["a", "b"] * 6), model)
    assert caplog.text.count("subject 7 is unlike the other scans") == 1


def test_naming_a_study_makes_no_volumes(tmp_path, monkeypatch):
    write_heads(tmp_path)
    monkeypatch.setattr("mri3d.volumes.cache.Volumes.fill", lambda volumes: pytest.fail("it was filled"))
    study = Study.from_table("study.csv", root=tmp_path, resolution=12)
    assert repr(study) == "<Study of label: 24 sessions: 24 take part (a 12, b 12)>"


def test_a_value_for_no_label_that_no_volume_has_is_said(caplog):
    volumes = np.random.default_rng(0).random((6, 7, 8, 9))
    Study.from_arrays(volumes, ["a", "b", "?", None, "a", "b"], unlabelled=["?", "x", 0])
    assert [message for message in caplog.messages if "unlabelled" in message] == [
        "unlabelled names 'x', which is not among the labels",
        "unlabelled names 0, which is not among the labels",
    ]


def repeated(**more):
    """Return a study of sixteen sessions, of whom every two belong together if it is told."""
    return Study.from_arrays(np.random.default_rng(0).random((16, 7, 8, 9)), ["a", "a", "b", "b"] * 4, **more)


def test_subjects_are_counted_where_each_has_one_session_and_sessions_elsewhere():
    model, splits = models.KNN(k=1, num_components=2, inner_folds=2), KFold(folds=2)
    study = repeated()
    assert evaluate(study, model, splits).headline().removesuffix(NO_EVIDENCE).endswith("(16 tests of 16 subjects)")
    families = repeated(groups=[number // 2 for number in range(16)])
    assert evaluate(families, model, splits).headline().removesuffix(NO_EVIDENCE).endswith("(16 tests of 16 sessions)")
    sessions = [replace(one, participant=f"p{n // 2}") for n, one in enumerate(study.cohort.sessions)]
    visits = replace(study, cohort=replace(study.cohort, sessions=tuple(sessions)))
    assert (
        evaluate(visits, model, splits)
        .headline()
        .removesuffix(NO_EVIDENCE)
        .endswith("(16 tests of 16 sessions of 8 participants)")
    )
    assert evaluate(visits, model, All()).headline().startswith("none: trained on all 16 sessions of 8 participants, ")
    assert [num_participants(one.cohort) for one in (study, families, visits)] == [16, 16, 8]
