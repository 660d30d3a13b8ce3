"""A run that was cut off: gone on with wherever its data lie by then, and on no other data."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from mri3d.cohort.cohort import Cohort, Session
from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.evaluation.folds import Fold
from mri3d.models import Logistic
from mri3d.run_folder import claim, renew
from mri3d.temporaries import _machine
from tests.test_runs import cohort_rows, run_study, write_study


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    """Leave out what takes most of the time of so small a run."""
    monkeypatch.setattr("mri3d.runs.study_sections", lambda *given, **options: [])
    monkeypatch.setattr("mri3d.kept_models.TestedScans.add", lambda *given, **options: None)


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_run_on_scans_whose_names_are_no_text_can_be_gone_on_with(tmp_path):
    source = write_study(tmp_path)
    try:
        (tmp_path / "s00.nii").rename(tmp_path / b"s00\xe9.nii".decode(errors="surrogateescape"))
    except OSError as error:
        pytest.skip(f"no such name can be given here: {error}")
    source = replace(source, scan="{id}*.nii")
    for resumed in (False, True):
        run_study(source, tmp_path / "run", Logistic(num_components=2, C=1.0), resumed=resumed)
    assert "s00\\udce9.nii" in cohort_rows(tmp_path / "run")["s00"]["scan"]


def move(root, new):
    """Put scans and table elsewhere; give the source that reads them there."""
    new.mkdir()
    for path in [*root.glob("*.nii"), root / "study.csv"]:
        path.rename(new / path.name)
    return Table(root=str(new), table="study.csv", label="label")


def test_run_whose_data_moved_is_gone_on_with_and_says_where_they_are(tmp_path):
    source, model = write_study(tmp_path), Logistic(num_components=2, C=1.0)
    run_study(source, tmp_path / "run", model)
    before = cohort_rows(tmp_path / "run")
    predictions = (tmp_path / "run/predictions.csv").read_bytes()
    left = tmp_path / f"run/checkpoints/.writing-{_machine()}-00000000-last.ckpt"
    left.parent.mkdir(exist_ok=True)
    left.touch()
    run_study(move(tmp_path, tmp_path / "new"), tmp_path / "run", model, resumed=True)
    assert (tmp_path / "run/predictions.csv").read_bytes() == predictions
    after = cohort_rows(tmp_path / "run")
    assert {row["scan"] for row in after.values()} == {str(tmp_path / f"new/{name}.nii") for name in before}
    assert [row | {"scan": ""} for row in after.values()] == [row | {"scan": ""} for row in before.values()]
    assert (tmp_path / "run/config.yaml").read_text() == "kept:\n- as\n- it\n- is\n", "nothing new is told of places"
    assert not left.exists(), "its process is no more"


SESSIONS = tuple(
    Session(f"s{n}", Path(f"/old/s{n}.nii"), "ab"[n % 2], group="g", covariates={"age": f"{n}"}, digest=f"digest {n}")
    for n in range(4)
)
FOLDS = [Fold(0, 0, np.array([0, 1]), np.array([2]), np.array([3]))]


def changed(**facts):
    """Return the cohort with other facts of its first session."""
    return Cohort((replace(SESSIONS[0], **facts), *SESSIONS[1:]))


@pytest.mark.parametrize(
    "cohort",
    [
        Cohort(tuple(replace(session, scan=Path("/new") / session.scan.name) for session in SESSIONS)),
        changed(warnings=("worded otherwise by another version",)),
    ],
    ids=["moved", "warned"],
)
def test_where_scans_lie_and_how_it_is_worded_are_no_part_of_a_cohort(tmp_path, cohort):
    claim(tmp_path / "run", Cohort(SESSIONS), FOLDS, {"seed": 0}, resumed=False)
    claim(tmp_path / "run", cohort, FOLDS, {"seed": 0}, resumed=True)
    renew(tmp_path / "run", cohort, FOLDS, {"seed": 0, "data": "there"}, moved=True)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text()) == {"seed": 0, "data": "there"}
    rows = [line.split(",")[1:3] for line in (tmp_path / "run/cohort.csv").read_text().splitlines()[1:]]
    assert rows == [[str(session.scan), session.label] for session in cohort.sessions]


@pytest.mark.parametrize(
    ("cohort", "folds"),
    [
        (changed(digest="another scan"), FOLDS),
        (changed(label="b"), FOLDS),
        (changed(group="h"), FOLDS),
        (changed(site="x"), FOLDS),
        (changed(covariates={"age": "9"}), FOLDS),
        (changed(id="other"), FOLDS),
        (Cohort((*SESSIONS[1:], SESSIONS[0])), FOLDS),
        (Cohort(SESSIONS), [Fold(0, 0, np.array([0, 2]), np.array([1]), np.array([3]))]),
        (Cohort((*SESSIONS, replace(SESSIONS[0], id="s4", left_out="it is bad"))), FOLDS),
    ],
    ids=["scan", "label", "group", "site", "covariate", "id", "order", "folds", "more"],
)
def test_run_whose_data_are_others_by_now_is_not_gone_on_with(tmp_path, cohort, folds):
    claim(tmp_path / "run", Cohort(SESSIONS), FOLDS, {"seed": 0}, resumed=False)
    kept = files_of(tmp_path / "run")
    with pytest.raises(UserError, match=r"the cohort is not the one that .*run began with"):
        claim(tmp_path / "run", cohort, folds, {"seed": 0}, resumed=True)
    assert files_of(tmp_path / "run") == kept


def test_scans_that_changed_since_are_named(tmp_path):
    claim(tmp_path / "run", Cohort(SESSIONS), FOLDS, {"seed": 0}, resumed=False)
    with pytest.raises(UserError, match=r"has other digests of scans, which have changed since: s0\. Sessions"):
        claim(tmp_path / "run", changed(digest="another scan"), FOLDS, {"seed": 0}, resumed=True)
    with pytest.raises(UserError, match="has other scans, labels or folds"):
        claim(tmp_path / "run", changed(digest="another scan", label="b"), FOLDS, {"seed": 0}, resumed=True)


@pytest.mark.parametrize("seed", range(3))
def test_another_order_of_the_same_rows_is_told(tmp_path, seed):
    """As earlier versions had it, which took rows as they stand in the table; the folds' rows hang on it."""
    order = np.random.default_rng(seed).permutation([3, 0, 2, 1])
    folds = [Fold(0, 0, order[:2], order[2:3], order[3:])]
    claim(tmp_path / "run", Cohort(tuple(SESSIONS[row] for row in order)), FOLDS, {"seed": 0}, resumed=False)
    for now in (FOLDS, folds):
        with pytest.raises(UserError, match=r"the same sessions in another order.*in order of their ids.*new run\.$"):
            claim(tmp_path / "run", Cohort(SESSIONS), now, {"seed": 0}, resumed=True)
    with pytest.raises(UserError, match="has other scans, labels or folds"):
        claim(tmp_path / "run", changed(label="b"), FOLDS, {"seed": 0}, resumed=True)


@pytest.mark.parametrize(
    "cohort", [b"", b"subject\n", b"\xff", b'"', b"a" * 200_000, "folder", "pipe", None], ids=range(8)
)
def test_run_without_a_whole_cohort_is_not_gone_on_with(tmp_path, cohort):
    path = tmp_path / "cohort.csv"
    if isinstance(cohort, bytes):
        path.write_bytes(cohort)
    elif cohort:
        path.mkdir() if cohort == "folder" else os.mkfifo(path)
    with pytest.raises(UserError, match=r"the cohort is not the one that .* began with"):
        claim(tmp_path, Cohort(SESSIONS), FOLDS, {"seed": 0}, resumed=True)
