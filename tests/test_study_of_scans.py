"""Studies from a table and from a BIDS tree: who takes part, and what is refused by name before work starts."""

import re

import numpy as np
import pytest

from mri3d import Recipe, Study, UserError
from mri3d.cohort.table import Table
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.splits import KFold
from mri3d.outcome import Classes, Measure
from tests.scans.phantom import write_scan
from tests.studies import HEAD_SHAPE, SPACING_MM, head, write_heads


def refused(error):
    """Return what the library and the command line say; the library never names an option's path."""
    library, command_line = str(error.value), error.value.on_command_line()
    assert not re.search(r"\b(data|preprocess|model|trainer|evaluation)\.\w", library), library
    return library, command_line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("heads")
    families = [number // 2 for number in range(12)]
    write_heads(root, 12, family=families, site=["x", "y"] * 6, dose=["n/a"] + ["3.5"] * 11)
    return root


def from_table(folder, **options: object):
    return Study.from_table("study.csv", **{"root": folder, "resolution": 8} | options)


def test_a_table_is_read_with_its_groups_and_sites(folder):
    study = from_table(folder, group="family", site="site", covariates="age")
    assert study.outcome == Classes(("a", "b"))
    assert study.outcome.name == "label"
    assert study.targets.tolist() == [0, 1] * 6
    assert study.ids[:2] == ("s00", "s01")
    assert study.groups[0] == study.groups[1] != study.groups[2]
    assert study.recipe == Recipe(8)
    assert study.volumes.shape == (1, 8, 8, 8)
    assert study.cohort.sessions[3].site == "y"
    assert float(study.cohort.sessions[0].covariates["age"]) == 20.0
    assert study.describe() == "12 sessions: 12 take part (a 6, b 6)"
    recipe = Recipe(10, intensity="minmax")
    assert from_table(folder, recipe=recipe).recipe == recipe, "a recipe goes before the resolution"


def test_a_measure_is_read_from_a_table(folder):
    study = from_table(folder, label="age", task="regression")
    assert study.outcome == Measure("age")
    assert study.targets[:2] == pytest.approx([20.0, 60.0])


def test_cells_that_say_missing_are_no_label(folder):
    with pytest.raises(UserError, match=r"column 'dose' of study.csv holds 1 different value \(3.5\) in 11 rows"):
        from_table(folder, label="dose", task="regression")
    study = from_table(folder, label="age", task="regression", unlabelled=["20.0", "60.0"])
    assert study.ids == tuple(f"s{number:02}" for number in range(2, 12))


def test_an_id_may_be_made_of_several_columns(tmp_path):
    """Two visits of each participant: they stay together, and `cohort.csv` names who they are."""
    people = [f"p{number // 2}" for number in range(12)]
    write_heads(tmp_path, 12, person=people, visit=["1", "2"] * 6)
    study = from_table(tmp_path, id=["person", "visit"], scan="{subject}.nii")
    assert study.ids[:3] == ("p0_1", "p0_2", "p1_1")
    assert study.groups[0] == study.groups[1] != study.groups[2]
    assert study.cohort.sessions[1].participant == "p0"
    header, first, *_ = study.cohort.to_csv().splitlines()
    assert header.startswith("subject,participant,scan,label,")
    assert first.startswith("p0_1,p0,")
    for fold in KFold(folds=3, validation=0.0).split(Sample(study.outcome, study.targets, study.groups), seed=0):
        assert not set(study.groups[fold.train_rows]) & set(study.groups[fold.test_rows])


@pytest.mark.parametrize(
    ("options", "message", "told"),
    [
        (
            {"label": "labels"},
            r"column 'labels' is not in study\.csv .* Set label to one of them\. Did you mean 'label'\?",
            "Set data.label to",
        ),
        ({"group": "famly"}, r"Set group to one of them\. Did you mean 'family'\?", "Set data.group to"),
        ({"id": "label"}, r"Remove the copies; for repeated visits, set id to several columns", "set data.id to"),
        ({"scan": "T1.nii"}, r"^scan='T1\.nii' is the same for every session", "data.scan=T1.nii is the same"),
        ({"scan": "{id}.mgz"}, r"^scan='\{id\}\.mgz' finds no scan", "Set data.scan to fit"),
        ({"label": "age"}, r"this looks like a measurement\. .*task='regression'.*classes=True", "data.classes=true"),
        ({"label": "site", "task": "regression"}, r"column 'site' of study\.csv holds no numbers \(x, y\)", "task=cl"),
    ],
)
def test_mistakes_in_a_table_name_arguments(folder, options, message, told):
    with pytest.raises(UserError, match=message) as error:
        from_table(folder, **options)
    library, command_line = refused(error)
    assert told in command_line
    assert "data." not in library


def test_a_text_cell_in_a_measure_is_named_by_row_and_column(tmp_path):
    write_heads(tmp_path, 6, years=["45", "n/a", "45 y", "38", "52", "61"])
    with pytest.raises(UserError, match=r"column 'years' of study\.csv holds 1 cell .*: s02 has '45 y'\. .*unlabelled"):
        from_table(tmp_path, label="years", task="regression")
    study = from_table(tmp_path, label="years", task="regression", unlabelled="45 y")
    assert study.targets.tolist() == [45.0, 38.0, 52.0, 61.0]
    assert study.describe().endswith("2 without a label")


def test_bad_scans_are_told_at_once_or_left_out(tmp_path):
    write_heads(tmp_path, 8)
    (tmp_path / "s03.nii").write_bytes(b"text")
    (tmp_path / "s05.nii").unlink()
    with pytest.raises(UserError, match=r"(?s)2 of 8 scans cannot be used:.*s03: .*s05: .*set skip_bad=True") as error:
        from_table(tmp_path)
    assert "set data.skip_bad=true to leave them out" in refused(error)[1]
    study = from_table(tmp_path, skip_bad=True)
    assert len(study.ids) == 6
    assert study.describe() == "8 sessions: 6 take part (a 4, b 2), 2 left out"


def test_a_class_that_only_bad_scans_have_is_told(tmp_path):
    write_heads(tmp_path, 6)
    for number in (1, 3, 5):
        (tmp_path / f"s{number:02}.nii").write_bytes(b"text")
    said = r"^of the sessions whose scans can be used, column 'label' .*one class \(a 3\)"
    with pytest.raises(UserError, match=said):
        from_table(tmp_path, skip_bad=True)


def test_labels_are_checked_before_scans_are_read(tmp_path):
    write_heads(tmp_path, 6, dx=["x"] * 6)
    for path in tmp_path.glob("*.nii"):
        path.write_bytes(b"text")
    with pytest.raises(UserError, match="one class"):
        from_table(tmp_path, label="dx")


def test_read_is_what_the_command_line_starts_from(folder):
    source = Table(str(folder), "study.csv", group="family")
    study, same = Study.read(source, Recipe(8)), from_table(folder, group="family")
    assert study.cohort == same.cohort
    assert study.outcome == same.outcome


def test_a_bids_tree_is_read_with_its_kind_of_scan(tmp_path):
    rows = ["participant_id\tgroup\tage"]
    for number in range(6):
        for suffix in ("T1w", "FLAIR"):
            path = tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_{suffix}.nii"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_scan(path, head(seed=number + 10 * (suffix == "FLAIR")), np.diag([*SPACING_MM, 1.0]))
        rows.append(f"sub-{number}\t{'ab'[number % 2]}\t{20 + 7 * number}")
    (tmp_path / "participants.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    study = Study.from_bids(tmp_path, label="group", suffix="FLAIR", resolution=8)
    assert study.suffix == "FLAIR"
    assert study.outcome == Classes(("a", "b"))
    assert [path.name for path in study.cohort.scans] == [f"sub-{number}_FLAIR.nii" for number in range(6)]
    ages = Study.from_bids(tmp_path, label="age", task="regression", resolution=8)
    assert ages.targets.tolist() == [20 + 7 * number for number in range(6)]
    assert (ages.suffix, ages.outcome) == ("T1w", Measure("age"))
    with pytest.raises(UserError, match=r"column 'dx' is not in participants\.tsv .*Set label to") as error:
        Study.from_bids(tmp_path, label="dx")
    assert "Set data.label to" in refused(error)[1]
    assert HEAD_SHAPE == (20, 22, 24)


def test_masks_of_brains_need_a_recipe_for_brains(folder):
    with pytest.raises(UserError, match=r"^mask is for brains alone"):
        from_table(folder, mask="{id}.nii*")
