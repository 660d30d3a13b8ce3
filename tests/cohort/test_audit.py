"""The audit: bad scans are told all at once or left out by name, copies are found, files are read once."""

import dataclasses
import os
import time
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri3d.cohort import audit as audit_module
from mri3d.cohort import audit_memory
from mri3d.cohort.audit import audit
from mri3d.cohort.bids import Bids
from mri3d.cohort.cohort import NO_LABEL, Cohort, Session
from mri3d.cohort.table import Table
from mri3d.errors import UserError, option
from mri3d.scans.scan import canonical_digest, read_scan
from mri3d.volumes.recipe import Recipe

SHARED = Path(__file__).parents[3] / "shared" / "data"
AFFINE = np.array([[-20.0, 1, 0, 9], [0, 2, 25, -8], [1, -30.0, 0, 7], [0, 0, 0, 1]])


def write_scan(path: Path, seed: int, *, affine: np.ndarray = AFFINE, code: int = 1) -> Path:
    image = nib.Nifti1Image(np.random.default_rng(seed).integers(0, 200, (7, 8, 9)).astype(np.uint8), affine)
    image.set_sform(affine, code)
    image.set_qform(None, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    os.utime(path, (time.time() - 100,) * 2)
    return path


@pytest.fixture
def study(tmp_path, monkeypatch) -> Cohort:
    """Eight sessions of two classes, a to h, each with a scan; an audit memory of its own."""
    monkeypatch.setenv("MRI3D_CACHE", str(tmp_path / "cache"))
    return Cohort(
        tuple(
            Session(id, write_scan(tmp_path / "scans" / f"{id}.nii.gz", seed), "FM"[seed % 2])
            for seed, id in enumerate("abcdefgh")
        )
    )


def changed(cohort: Cohort, **problems: str) -> Cohort:
    """Take the scans of some sessions away, for a reason that the source found."""
    return Cohort(
        tuple(Session(s.id, None, s.label, problem=problems[s.id]) if s.id in problems else s for s in cohort.sessions)
    )


def test_how_many_take_part_and_how_many_have_no_label_is_logged(study, caplog):
    sessions = [Session(s.id, s.scan, None, left_out=NO_LABEL) if s.id in "ab" else s for s in study.sessions]
    with caplog.at_level("INFO"):
        audit(Cohort(tuple(sessions)), Recipe(), skip_bad=False)
    assert "cohort: 8 sessions: 6 take part, 2 without a label" in caplog.text


def test_good_scans_are_given_their_digests(study, caplog):
    audited = audit(study, Recipe(), skip_bad=False)
    assert audited.digests == tuple(read_scan(path).digest for path in study.scans)
    assert len(set(audited.digests)) == 8
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_head_of_no_human_size_is_named_at_training_too(study, tmp_path, caplog):
    write_scan(tmp_path / "scans" / "c.nii.gz", 2, affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    audited = audit(study, Recipe(), skip_bad=False)
    told = (
        "the head measures 7 x 8 x 9 mm, which no human head does: check the voxel size (or train with "
        "preprocess=cube, if it is none)"
    )
    assert [s.warnings for s in audited.sessions] == [(), (), (told,), *[()] * 5]
    assert f"1 scan has warnings:\n  c: {told}" in caplog.text
    assert audited.to_rows()[2]["warnings"] == told


def test_what_cannot_be_remembered_is_read_all_the_same(study, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", -1.0)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "audit").touch()  # where its folder should be
    assert len(audit(study, Recipe(), skip_bad=False).digests) == 8
    assert f"cannot write to {tmp_path}/cache/audit: File exists. The scans will be read again" in caplog.text


def damage(study: Cohort) -> Cohort:
    """Spoil six of the eight scans, each in its own way."""
    scans = {s.id: s.scan for s in study.sessions}
    scans["a"].write_bytes(b"")
    scans["b"].write_bytes(scans["b"].read_bytes()[:-40])
    whole = np.ones((7, 8, 9, 2), np.float32)
    nib.save(nib.Nifti1Image(whole, AFFINE), scans["c"])
    whole[3, 4, 5] = np.nan
    nib.save(nib.Nifti1Image(whole[..., 0], AFFINE), scans["d"])
    scans["e"].unlink()
    return changed(study, f="no scan matches f*.nii")


def test_all_problems_are_told_at_once(study):
    with pytest.raises(UserError) as caught:
        audit(damage(study), Recipe(), skip_bad=False)
    lines = str(caught.value).splitlines()
    assert lines[0] == "6 of 8 scans cannot be used:"
    scans = {s.id: str(s.scan) for s in study.sessions}
    for line, id, what in zip(lines[1:6], "abcde", ("empty", "", "frames", "NaN", "does not exist"), strict=True):
        assert line.startswith(f"  {id}: {scans[id]} ")
        assert what in line
    assert lines[6] == "  and 1 more"
    assert lines[7] == "Mend them, or set skip_bad=True to leave them out."
    last = caught.value.on_command_line().splitlines()[-1]
    assert last == "Mend them, or set data.skip_bad=true to leave them out."


def test_bad_scans_can_be_left_out_by_name(study, caplog):
    audited = audit(damage(study), Recipe(), skip_bad=True)
    assert audited.ids == ("g", "h")
    assert len(audited.sessions) == 8
    assert "NaN" in audited.sessions[3].left_out
    assert audited.sessions[5].left_out == "no scan matches f*.nii"
    assert "6 of 8 scans cannot be used and are left out; cohort.csv lists all of them:\n  a: " in caplog.text


def test_how_many_classes_are_left_is_not_for_the_audit_to_judge(study):
    bad = changed(study, b="x", d="x", f="x", h="x")
    assert audit(bad, Recipe(), skip_bad=True).labels == ("F",) * 4


def test_where_labels_come_from_and_who_was_scanned_are_kept(study):
    sessions = tuple(dataclasses.replace(s, participant=f"p{s.id}") for s in study.sessions)
    audited = audit(Cohort(sessions, source="column 'sex' of x.csv"), Recipe(), skip_bad=False)
    assert audited.source == audited.taking_part.source == "column 'sex' of x.csv"
    assert [s.participant for s in audited.sessions] == [f"p{id}" for id in "abcdefgh"]


def test_options_are_named_for_who_reads_them_and_plainly_in_files_and_logs(study, caplog):
    write_scan(study.sessions[0].scan, 0, code=0)
    a, b, *others = study.sessions
    unlabelled = dataclasses.replace(b, label=None, left_out=NO_LABEL, problem=f"make {option('data.scan')} narrower")
    cohort = Cohort((a, unlabelled, *others))
    with pytest.raises(UserError, match="keep the stored order: orientation='stored'\n") as caught:
        audit(cohort, Recipe(), skip_bad=False)
    assert "keep the stored order: preprocess.orientation=stored\n" in caught.value.on_command_line()
    assert cohort.to_rows()[1]["left_out"] == NO_LABEL
    assert Cohort((dataclasses.replace(unlabelled, left_out=""),)).to_rows()[0]["left_out"] == "make scan narrower"
    audited = audit(cohort, Recipe(), skip_bad=True)
    assert audited.sessions[0].left_out.endswith("keep the stored order: orientation='stored'")
    assert audited.sessions[1].left_out == "no label; make scan narrower"
    assert "  b: make scan narrower" in caplog.text
    for text in (caplog.text, audited.to_csv()):
        assert not set(text) & set("\x02\x03\x1f")


def test_a_scan_without_orientation_is_refused_only_where_it_matters(study):
    write_scan(study.sessions[0].scan, 0, code=0)
    with pytest.raises(UserError, match=r"1 of 8 scans cannot be used:\n  a: .* does not say which way its axes point"):
        audit(study, Recipe(), skip_bad=False)
    audited = audit(study, Recipe(orientation="stored"), skip_bad=False)
    assert len(audited.ids) == 8
    assert "neither sform nor qform is set" in audited.sessions[0].warnings[0]


def test_a_copy_in_another_axis_order_and_ending_is_found(study, tmp_path):
    first = study.sessions[0]
    image = nib.load(first.scan)
    turned = image.as_reoriented(nib.orientations.axcodes2ornt(("S", "L", "P")))
    nib.save(turned, tmp_path / "other.nii")
    sessions = (*study.sessions, Session("copy", tmp_path / "other.nii", first.label, group="x"))
    with pytest.raises(UserError, match=r"1 of 9 .*\n  copy: .*other.nii holds the same voxels as .*a.nii.gz of a\n"):
        audit(Cohort(sessions), Recipe(), skip_bad=False)
    audited = audit(Cohort(sessions), Recipe(), skip_bad=True)
    assert audited.ids == tuple("abcdefgh")


def test_copies_under_two_labels_are_all_left_out(study):
    sessions = list(study.sessions)
    sessions[1] = Session("b", sessions[0].scan, "M")
    audited = audit(Cohort(tuple(sessions)), Recipe(), skip_bad=True)
    assert audited.ids == tuple("cdefgh")
    assert audited.sessions[0].left_out.endswith("of b, but their labels differ (F, M)")
    assert audited.sessions[1].left_out.endswith("of a, but their labels differ (F, M)")


def test_unlabelled_scans_are_read_but_stop_nobody(study, caplog):
    unlabelled = [Session(s.id, s.scan, None, left_out=NO_LABEL) for s in study.sessions[:3]]
    unlabelled[1].scan.write_bytes(b"no scan")
    unlabelled[2].scan.write_bytes(study.sessions[3].scan.read_bytes())
    audited = audit(Cohort((*unlabelled, *study.sessions[3:])), Recipe(), skip_bad=False)
    assert audited.ids == tuple("defgh")
    assert audited.sessions[0].left_out == NO_LABEL
    assert audited.sessions[0].digest
    assert audited.sessions[1].left_out.startswith("no label; ")
    assert "is not a NIfTI file" in audited.sessions[1].left_out
    assert "1 scan without a label cannot be used either:\n  b: " in caplog.text


def count_readings(monkeypatch) -> list[Path]:
    readings: list[Path] = []

    def read(path: Path):
        readings.append(path)
        return read_scan(path)

    monkeypatch.setattr(audit_module, "read_file", read)
    return readings


def test_a_file_is_read_once_until_it_changes(study, monkeypatch):
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", 0.0)
    readings = count_readings(monkeypatch)
    first = audit(study, Recipe(), skip_bad=False)
    assert sorted(readings) == sorted(study.scans)
    readings.clear()
    assert audit(study, Recipe(), skip_bad=False) == first
    assert readings == []
    path = study.scans[3]
    old = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))  # only the time of change of the inode tells
    with pytest.raises(UserError, match="1 of 8 scans cannot be used:\n  d: "):
        audit(study, Recipe(), skip_bad=False)
    assert readings == [path]
    with pytest.raises(UserError):
        audit(study, Recipe(), skip_bad=False)
    assert readings == [path, path]  # what failed is tried again


def test_a_file_that_was_just_written_is_not_remembered(study, monkeypatch):
    readings = count_readings(monkeypatch)
    audit(study, Recipe(), skip_bad=False)  # written less than two seconds ago
    audit(study, Recipe(), skip_bad=False)
    assert len(readings) == 16


@pytest.mark.parametrize("memory", [b"", b"[]", b'{"reader": "", "scans": 3}', b'{"scans": {}}'])
def test_a_broken_memory_is_made_anew(study, tmp_path, monkeypatch, memory):
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", 0.0)
    first = audit(study, Recipe(), skip_bad=False)
    (tmp_path / "cache" / "audit" / "scans.json").write_bytes(memory)
    assert audit(study, Recipe(), skip_bad=False) == first


def test_nothing_is_remembered_past_a_change_of_the_reader(study, monkeypatch):
    monkeypatch.setattr(audit_memory, "SETTLED_SECONDS", 0.0)
    audit(study, Recipe(), skip_bad=False)
    readings = count_readings(monkeypatch)
    monkeypatch.setattr(audit_memory, "reader_digest", lambda: "another")
    audit(study, Recipe(), skip_bad=False)
    assert len(readings) == 8


def test_demo_cohort_passes(demo_cohort):
    audited = audit(demo_cohort, Recipe(), skip_bad=False)
    assert Counter(audited.labels) == {"-1": 6, "1": 6}
    assert not any(s.warnings for s in audited.sessions)


needs_real_scans = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real scans are not at {SHARED}")


@needs_real_scans
def test_sixteen_axis_orders_of_one_head_are_one_image():
    scans = sorted((SHARED / "odd-scans" / "axis-orders").glob("*.nii*"))
    assert len(scans) == 16
    assert len({canonical_digest(read_scan(path)) for path in scans}) == 1
    cohort = Cohort(tuple(Session(path.name, path, "FM"[i % 2]) for i, path in enumerate(scans)))
    with pytest.raises(UserError, match=r"16 of 16 scans cannot be used:\n.* but their labels differ \(F, M\)"):
        audit(cohort, Recipe(), skip_bad=False)


@needs_real_scans
def test_broken_scans_are_told_together(tmp_path):
    broken = sorted(p for p in (SHARED / "odd-scans" / "broken").iterdir() if ".nii" in p.name)
    good = sorted((SHARED / "ixi" / "T1").glob("*.nii.gz"))[:2]
    rows = [f"{path.name},{'FM'[i % 2]},{path}" for i, path in enumerate([*good, *broken])]
    (tmp_path / "t.csv").write_text("\n".join(["subject,label,file", *rows]))
    cohort = Table(str(tmp_path), "t.csv", scan="{file}").read()
    with pytest.raises(UserError, match=f"^{len(broken)} of {len(broken) + 2} scans cannot be used:"):
        audit(cohort, Recipe(), skip_bad=False)
    assert audit(cohort, Recipe(), skip_bad=True).scans == tuple(good)


@needs_real_scans
@pytest.mark.slow
def test_real_studies_pass_with_the_warnings_that_are_known(caplog):
    depression = audit(Bids(str(SHARED / "depression-bids"), "group").read(), Recipe(), skip_bad=False)
    assert "qform and sform disagree" in depression.sessions[6].warnings[0]
    assert depression.sessions[6].id == "sub-21"
    assert "  sub-21: qform and sform disagree" in caplog.text
    table = Table(str(SHARED / "ixi"), "subjects.csv", label="sex", scan="T1/{id}_T1.nii.gz")
    ixi = audit(table.read(), Recipe(), skip_bad=False)
    assert ixi.describe() == "135 sessions: 131 take part, 4 without a label"
    assert Counter(ixi.labels) == {"F": 68, "M": 63}
