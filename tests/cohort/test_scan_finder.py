"""Which file is the scan of which row: ids that begin another, one file for two rows, names that only look alike."""

import random
import unicodedata

import pytest

from mri3d.cohort.table import Table
from mri3d.errors import UserError
from mri3d.scans.listing import find_scans
from tests.cohort.test_table import study


def found(folder, pattern, ids, scans):
    """Return for each id the scan's path under the folder, or None, and what is told of it."""
    rows = "".join(f"{id},{'FM'[number % 2]}\n" for number, id in enumerate(ids))
    root = study(folder, f"subject,label\n{rows}", scans)
    sessions = Table(str(root), "subjects.csv", scan=pattern).read().sessions
    return [s.scan and str(s.scan.relative_to(root)) for s in sessions], [str(UserError(s.problem)) for s in sessions]


@pytest.mark.parametrize(
    ("pattern", "id", "scans", "expected"),
    [
        ("{id}*.nii*", "sub-1", ["sub-10.nii", "sub-1a.nii", "sub-1\u0661.nii", "sub-1\u00e9.nii"], None),
        ("{id}*.nii*", "sub-1", ["sub-10_T1w.nii", "sub-1_T1w.nii.gz", "sub-11.nii"], "sub-1_T1w.nii.gz"),
        ("{id}?.nii", "sub-1", ["sub-10.nii", "sub-1_.nii"], "sub-1_.nii"),
        ("{id}[0-9].nii", "sub-1", ["sub-10.nii"], None),
        ("{id}[_-]*.nii", "sub-1", ["sub-10-x.nii", "sub-1-x.nii"], "sub-1-x.nii"),
        ("*{id}*.nii*", "1", ["sub-11.nii", "sub-21.nii.gz", "21.nii", "x1.nii", "12.nii"], None),
        ("*{id}*.nii*", "1", ["sub-11_1_T1.nii", "sub-11_T1.nii"], "sub-11_1_T1.nii"),
        ("*{id}.nii*", "1", ["sub-11.nii", "sub-1.nii"], "sub-1.nii"),
        ("{id}*0.nii", "sub-1", ["sub-10.nii", "sub-1_0.nii"], "sub-1_0.nii"),  # the wildcard is empty
        ("{id}*/*/x.nii", "a", ["ab/c/x.nii", "a_1/c/x.nii"], "a_1/c/x.nii"),
        ("*{id}*/x.nii", "a", ["ba/x.nii", "b-a/x.nii"], "b-a/x.nii"),
        ("**/*{id}*.nii", "a", ["q/ba.nii", "q/r/b.a.nii"], "q/r/b.a.nii"),
        ("{id}*.nii", "s_", ["s_1.nii"], "s_1.nii"),  # ends in none
        ("{id}*.nii", "Jose", ["Jose\u0301.nii", "Jos\u00e9_1.nii"], None),
        ("{id}*.nii", "q", ["q\u0303.nii", "q_\u0303.nii"], "q_\u0303.nii"),  # no letter is composed of these
        ("*{id}.nii", "a", ["q\u0303a.nii", "q\u0303-a.nii"], "q\u0303-a.nii"),
        ("[{id}]*.nii", "a", ["a_1.nii", "[a]_1.nii"], "[a]_1.nii"),  # a field is no set of letters
        ("[?{id}.nii", "1?", ["[x1?.nii", "[.1?.nii", "?1?.nii"], "[.1?.nii"),
        ("sub{id}_*.nii", "1", ["sub1_T1.nii", "sub11_T1.nii"], "sub1_T1.nii"),  # what the user writes is meant
        ("{id}T1*.nii", "1", ["1T1w.nii", "11T1.nii"], "1T1w.nii"),
        ("*_x{id}y_*.nii", "1", ["a_x1y_b.nii", "a_x11y_b.nii"], "a_x1y_b.nii"),
    ],
)
def test_no_wildcard_goes_on_with_an_id(tmp_path, pattern, id, scans, expected):
    root = study(tmp_path, f"subject,label\n{id},F\n", scans)
    table = Table(str(root), "subjects.csv", scan=pattern)
    if expected is None:
        with pytest.raises(UserError, match="finds no scan for any"):
            table.read()
    else:
        (session,) = table.read().sessions
        assert session.scan == root / expected


def test_no_field_is_gone_on_with(tmp_path):
    text = "subject,label,site,run\na,F,x,1\nb,M,y,\nc,F,z,1\n"
    scans = ["a_xx_1.nii", "b_y_1.nii", "c_z_11.nii", "a_x_2.nii"]
    root = study(tmp_path, text, scans)
    sessions = Table(str(root), "subjects.csv", scan="{subject}_{site}*{run}*").read().sessions
    assert [s.scan and s.scan.name for s in sessions] == [None, "b_y_1.nii", None]
    adjacent = Table(str(root), "subjects.csv", scan="{subject}_{site}{run}*").read().sessions
    assert [s.scan and s.scan.name for s in adjacent] == [None, "b_y_1.nii", None]


def test_whose_a_longer_name_may_be_is_said(tmp_path):
    _, (problem, _) = found(tmp_path, "T1/{id}*.nii*", ["sub-1", "zz_"], ["T1/sub-10_T1w.nii", "T1/zz_.nii"])
    told = (
        f"no scan matches {tmp_path}/T1/sub-1*.nii*: sub-10_T1w.nii has more letters or digits where the row's text "
        "begins or ends, so another id may be meant. If it is this row's, write those letters into scan"
    )
    assert problem == told
    root = study(tmp_path, "subject,label\n0002,F\n", ["IXI0002-T1.nii"])
    with pytest.raises(UserError, match=r"looked for .*\*0002\*: IXI0002-T1.nii has more letters or digits"):
        Table(str(root), "subjects.csv", scan="*{id}*").read()


def test_every_id_finds_its_own_scan_and_no_other(tmp_path):
    random.seed(0)
    ids = [str(number) for number in range(1, 131)]
    missing = set(random.sample(ids, 40))
    names = {id: f"x-{id}_T1w.nii.gz" for id in ids if id not in missing}
    paths, problems = found(tmp_path, "T1/*{id}*.nii*", ids, [f"T1/{name}" for name in names.values()])
    assert paths == [f"T1/{names[id]}" if id in names else None for id in ids]
    assert [bool(problem) for problem in problems] == [id in missing for id in ids]


def test_one_file_for_two_rows_is_wrong_for_both_and_both_are_told(tmp_path):
    text = "subject,label,file\na,F,one.nii\nb,M,two.nii\nc,F,one.nii\nd,F,link.nii\ne,,one.nii\nf,M,./one.nii\n"
    root = study(tmp_path, text, ["one.nii", "two.nii"])
    (root / "link.nii").symlink_to("one.nii")
    sessions = Table(str(root), "subjects.csv", scan="{file}").read().sessions
    assert [s.scan and s.scan.name for s in sessions] == [None, "two.nii", None, None, None, None]
    told = [str(UserError(s.problem)) for s in sessions]
    assert told[0] == (
        f"{root}/one.nii is found for c, d, e, f too: one scan cannot be of several rows. Make scan narrower, or mend "
        "the table"
    )
    assert told[2].startswith(f"{root}/one.nii is found for a, d, e, f too")
    assert told[3].startswith(f"{root}/link.nii is found for a, c, e, f too")
    assert told[1] == ""


def test_the_owner_of_a_scan_is_not_blamed_for_a_pattern_that_finds_several(tmp_path):
    paths, problems = found(tmp_path, "{id}_*.nii", ["a", "a_b", "zz_"], ["a_T1.nii", "a_b_T1.nii", "zz__1.nii"])
    assert paths == [None, "a_b_T1.nii", "zz__1.nii"]
    assert problems[0].startswith("2 scans match")


def test_visits_that_share_a_scan_are_told(tmp_path):
    root = study(tmp_path, "subject,visit,label\na,1,F\na,2,F\nb,1,M\n", ["a.nii", "b.nii"])
    sessions = Table(str(root), "subjects.csv", id=["subject", "visit"], scan="{subject}.nii").read().sessions
    assert [bool(s.problem) for s in sessions] == [True, True, False]
    assert "found for a_2 too" in sessions[0].problem


@pytest.mark.parametrize("pattern", ["{id}.nii", "{id}*.nii", "*{id}.nii", "{id}*/x.nii", "{id}.mask"])
@pytest.mark.parametrize(("table", "disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_letters_are_the_same(tmp_path, pattern, table, disk):
    id, name = (unicodedata.normalize(form, "Zo\u00eb-\ud55c") for form in (table, disk))
    place = pattern.replace("*", "").replace("{id}", name)
    root = study(tmp_path, f"subject,label\n{id},F\n", [place])
    (session,) = Table(str(root), "subjects.csv", scan=pattern).read().sessions
    assert (session.scan, session.id) == (root / place, id)


@pytest.mark.parametrize(
    ("cell", "id", "file"),
    [
        ("\ufeffsub-1", "sub-1", "sub-1"),
        ("sub-1\u200b", "sub-1", "sub-1"),
        ("su\u00adb-\u200d1", "sub-1", "sub-1"),
        ("sub\u00a01", "sub 1", "sub 1"),
        ("sub\u00a01", "sub 1", "sub\u00a01"),
        ("sub\u30001\u2060", "sub 1", "sub 1"),
        ("sub-1", "sub-1", "sub-\u200b1"),
        ("sub-1\ufe0f", "sub-1", "sub-1"),
    ],
)
@pytest.mark.parametrize("pattern", ["{id}.nii", "{subject}*.nii"])
def test_what_cannot_be_seen_is_no_part_of_an_id(tmp_path, caplog, cell, id, file, pattern):
    root = study(tmp_path, f"subject,label\nx,M\n{cell},F\n", [f"{file}.nii", "x.nii"])
    sessions = Table(str(root), "subjects.csv", scan=pattern).read().sessions
    assert (sessions[1].id, sessions[1].scan) == (id, root / f"{file}.nii")
    told = "column 'subject' of subjects.csv has characters that cannot be seen on line 3; they are left out"
    assert (told in caplog.text) is (cell != id)


@pytest.mark.parametrize("twin", ["\u00e9", "e\u0301\u200b", "\ufeff\u00e9", "\u00e9\u00ad"])
def test_ids_that_look_alike_are_one(tmp_path, twin):
    root = study(tmp_path, f"subject,label\ne\u0301,F\n{twin},M\n", ["\u00e9.nii"])
    with pytest.raises(UserError, match=r"1 id stands more than once in column 'subject' .* \(lines 2, 3\)"):
        Table(str(root), "subjects.csv").read()


def test_columns_are_found_by_names_that_look_alike(tmp_path):
    text = "\ufeff\ufeffsubject\u200b,Gro\u0308\u00dfe ,scanner\u00a0site\na,1,\u200bx\nb,2,x\nc,1,y\u00ad\n"
    root = study(tmp_path, text, ["a.nii", "b.nii", "c.nii"])
    table = Table(str(root), "subjects.csv", label="Gr\u00f6\u00dfe", site="scanner site", covariates="Gr\u00f6\u00dfe")
    assert [(s.label, s.site) for s in table.read().sessions] == [("1", "x"), ("2", "x"), ("1", "y")]


def test_paths_of_windows_are_read_where_they_can_be(tmp_path):
    text = "subject,label,file\na,F,T1\\a\\x.nii\nb,M,.\\T1\\b.nii\nc,F,C:\\data\\c.nii\nd,M,T1/d\\e.nii\n"
    root = study(tmp_path, text, ["T1/a/x.nii", "T1/b.nii", "T1/d\\e.nii", "c.nii"])
    sessions = Table(str(root), "subjects.csv", scan="{file}").read().sessions
    expected = [root / "T1/a/x.nii", root / "T1/b.nii", None, root / "T1" / "d\\e.nii"]
    assert [s.scan for s in sessions] == expected
    assert "this is a path of Windows, which does not lead anywhere here" in sessions[2].problem
    patterned = Table(str(root), "subjects.csv", scan="T1\\{id}.nii").read().sessions
    assert [s.scan for s in patterned] == [None, root / "T1/b.nii", None, None]


def test_links_to_folders_are_followed_but_not_round_and_a_file_counts_once(tmp_path):
    root = study(tmp_path, "subject,label\na,F\nb,M\nc,F\n", ["real/a/a.nii", "elsewhere/b.nii", "real/c.nii"])
    (root / "real/linked").symlink_to(root / "elsewhere")
    (root / "real/a/round").symlink_to(root / "real")
    (root / "again").symlink_to(root / "real")
    sessions = Table(str(root), "subjects.csv", scan="**/{id}.nii").read().sessions
    assert [s.problem for s in sessions] == [""] * 3
    assert [s.scan and s.scan.resolve() for s in sessions] == [
        root / scan for scan in ("real/a/a.nii", "elsewhere/b.nii", "real/c.nii")
    ]


@pytest.mark.parametrize(
    ("pattern", "scans"),
    [
        ("data/link/{id}.nii", "data/link/{id}.nii"),
        ("data/**/link/{id}.nii", "data/link/{id}.nii"),
        ("**/link/{id}*", "data/link/{id}.nii"),
        ("data/**/{id}.nii", "data/real/{id}.nii"),
        ("data/**/*/{id}.nii", "data/real/{id}.nii"),
        ("data/**/link/**/{id}.nii", "data/link/{id}.nii"),
        ("data/**/**/r*/**/{id}.nii", "data/real/{id}.nii"),
        ("data/**/round/real/{id}.nii", "data/real/round/real/{id}.nii"),
        ("data/**/**round/../{id}.nii", None),
        ("own/{id}/**", "own/{id}/deep/er/t1.nii"),
        ("own/{id}/**/", "own/{id}/deep/er/t1.nii"),
        ("own/**/{id}/**/*.nii", "own/{id}/deep/er/t1.nii"),
        ("own/**/.hidden/{id}.nii", "own/.hidden/{id}.nii"),
        ("own/**/{id}.nii", None),
        ("set [v2]/{id}.nii", "set [v2]/{id}.nii"),
        ("s* [v2]/{id}.nii", "set [v2]/{id}.nii"),
        ("set [v2]/{id}*.NII", "set [v2]/{id}.nii"),
        ("s[e]t*/**/{id}.nii", "set [v2]/{id}.nii"),
    ],
)
def test_a_pattern_finds_in_a_table_what_it_finds_as_a_glob(tmp_path, pattern, scans):
    names = [f"{place}/{id}" for place in ("data/real", "own/.hidden", "set [v2]") for id in ("a.nii", "b.nii")]
    root = study(tmp_path, "subject,label\na,F\nb,M\n", [*names, "own/a/deep/er/t1.nii", "own/b/deep/er/t1.nii"])
    (root / "data/link").symlink_to("real")
    (root / "data/real/round").symlink_to("..")
    if scans is None:
        with pytest.raises(UserError, match="finds no scan for any"):
            Table(str(root), "subjects.csv", scan=pattern).read()
        with pytest.raises(UserError, match="no file that ends"):
            find_scans([str(root / pattern.format(id="a"))])
        return
    sessions = Table(str(root), "subjects.csv", scan=pattern).read().sessions
    assert [s.scan for s in sessions] == [root / scans.format(id=id) for id in "ab"]
    for session in sessions:
        assert find_scans([str(root / pattern.format(id=session.id))]) == [session.scan]


@pytest.mark.parametrize("id", ["~nobody-there", "a\0b", "x" * 300, "a/" * 3000 + "b", "..", "[!", "**", "\x01\x02"])
def test_no_id_makes_the_search_fail(tmp_path, id):
    root = study(tmp_path, f"subject,label\nzz,F\n{id}_,M\n", ["zz.nii", "zz/x.nii"])
    study(tmp_path, f"subject,label\n{id}_,M\n", [], "alone.csv")
    for pattern in ("{id}.nii", "{id}*", "*{id}*.nii", "{id}/*.nii", "**/{id}.nii"):
        first, second = Table(str(root), "subjects.csv", scan=pattern).read().sessions
        assert first.scan in (root / "zz.nii", root / "zz/x.nii")
        assert (second.scan, bool(second.problem)) == (None, True)
        with pytest.raises(UserError, match="finds no scan for any row of alone"):
            Table(str(root), "alone.csv", scan=pattern).read()


@pytest.mark.parametrize("pattern", ["{id}.nii*", "{id}.nii.gz", "{id}*.nii.gz", "{id}*.NII.GZ", "**/{id}.nii*"])
def test_endings_count_in_any_case(tmp_path, pattern):
    scans, _ = found(tmp_path, pattern, ["s1", "s2"], ["s1.NII.GZ", "s2.Nii.gz"])
    assert scans == ["s1.NII.GZ", "s2.Nii.gz"]


def test_images_that_are_not_read_are_named_where_no_scan_is(tmp_path):
    _, told = found(tmp_path, "{id}.*", ["s1", "s2"], ["s1.nrrd", "s2.nii"])
    assert "s1.nrrd. Convert it to .nii.gz" in told[0]
    assert told[1] == ""


@pytest.mark.parametrize("name", ["root", "table", "scan"])
def test_links_that_lead_in_a_circle_are_told_as_such(tmp_path, name):
    root = study(tmp_path, "subject,label\na,F\nb,M\n", ["a.nii"])
    for link in ("loop", "b.nii"):
        (root / link).symlink_to(link)
    options = {"root": {"root": str(root / "loop")}, "table": {"table": "loop"}, "scan": {}}[name]
    source = Table(**{"root": str(root), "table": "subjects.csv", **options})
    if name == "scan":
        assert "b.nii is a link that leads in a circle" in source.read().sessions[1].problem
    else:
        with pytest.raises(UserError, match="loop is a link that leads in a circle"):
            source.read()
