"""The small commands through their real command line, and what a classical run shows."""

import sys

import nibabel as nib
import numpy as np
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from mri3d.cli import maps
from mri3d.cli.overrides import hydra_overrides
from mri3d.cohort.demo import DemoStudy
from mri3d.errors import UserError
from tests.commands import run_here, undrawn

SMALL = ("data.demo.num_subjects=12", "data.demo.effect=0.8", "resolution=24")
REACH_MM = 20.0  # the effect fades to nothing at 26


@pytest.fixture(scope="module")
@undrawn()
def classical(tmp_path_factory):
    """Give the folder in which a run of a linear model was made, and the run."""
    cwd = tmp_path_factory.mktemp("classical")
    run_here("train", "model=ridge", *SMALL, "name=ridge", cwd=cwd)
    (folder,) = cwd.glob("runs/ridge/*")
    return cwd, folder


@pytest.fixture(scope="module")
def effect_mm(cache_folder):
    """Give the middle of the planted effect in the world, on average over the heads."""
    masks = (DemoStudy(num_subjects=12, effect=0.8).build() / "effect_mask").glob("*.nii.gz")
    images = [nib.load(path) for path in masks]
    middles = [np.argwhere(np.asarray(image.dataobj) > 0).mean(axis=0) for image in images]
    return np.mean(
        [image.affine[:3, :3] @ at + image.affine[:3, 3] for image, at in zip(images, middles, strict=True)], axis=0
    )


def peak_mm(path):
    image = nib.load(path)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    values = np.abs(np.asarray(image.dataobj))
    return image.affine[:3, :3] @ np.unravel_index(values.argmax(), values.shape) + image.affine[:3, 3]


def test_averages_find_the_planted_effect_where_it_lies(tmp_path, effect_mm):
    done = run_here("mri3d", "averages", *SMALL, "out=there", cwd=tmp_path)
    made, maps, report = done.stdout.splitlines()
    assert made.split(maxsplit=1) == ["made", "averages of -1 (6 subjects), 1 (6 subjects), differences, t maps"]
    assert maps.split() == ["maps", "there"]
    assert report.split() == ["report", "there/report.html"]
    names = {path.name for path in (tmp_path / "there").glob("*.nii.gz")}
    assert names == {"average_-1.nii.gz", "average_1.nii.gz", "difference_1.nii.gz", "t_1.nii.gz"}
    page = (tmp_path / "there/report.html").read_text()
    assert "Class averages of a cohort" in page
    assert page.count("data:image/jpeg") == 3
    assert np.linalg.norm(peak_mm(tmp_path / "there/t_1.nii.gz") - effect_mm) < REACH_MM
    one, other, difference = (
        nib.load(tmp_path / "there" / f"{name}.nii.gz").get_fdata()
        for name in ("average_1", "average_-1", "difference_1")
    )
    np.testing.assert_allclose(difference, one - other, atol=1e-5)


def test_pca_of_a_run(classical):
    cwd, folder = classical
    done = run_here("mri3d", "pca", f"run={folder}", "components=2", "also=[5]", "subject=demo003", cwd=cwd)
    assert "the first 10 of 11 components hold" in done.stdout.splitlines()[0]
    names = sorted(path.name for path in (cwd / "maps/pca").glob("*.nii.gz"))
    assert names[:4] == [*(f"eigenbrain_{number:03d}.nii.gz" for number in (1, 2, 5)), "mean.nii.gz"]
    assert names[4:6] == ["transposed_001.nii.gz", "transposed_002.nii.gz"]
    assert nib.load(cwd / "maps/pca/mean.nii.gz").shape == (24, 24, 24)
    page = (cwd / "maps/pca/report.html").read_text()
    assert "Subject demo003 restored from few of 11 components" in page
    assert page.count('<svg class="chart"') == 2
    assert "replaced" not in done.stderr
    (cwd / "maps/pca/t_1.nii.gz").write_bytes((cwd / "maps/pca/mean.nii.gz").read_bytes())  # of the other command
    with undrawn():
        done = run_here("mri3d", "pca", f"run={folder}", "components=1", cwd=cwd)
    assert f"replaced: maps/pca/report.html and {len(names)} maps of an earlier call" in done.stderr.splitlines()
    assert (cwd / "maps/pca/t_1.nii.gz").exists()


def test_run_of_a_linear_model_shows_its_weights_and_its_cohort(classical, effect_mm):
    _, folder = classical
    assert np.linalg.norm(peak_mm(folder / "maps/weights.nii.gz") - effect_mm) < REACH_MM
    assert np.linalg.norm(peak_mm(folder / "maps/pattern.nii.gz") - effect_mm) < REACH_MM
    assert (folder / "maps/eigenbrain_003.nii.gz").is_file()
    page = (folder / "report.html").read_text()
    for text in (
        "Weights of the model",
        "Pattern of the model",
        "Eigenbrain 3",
        "Welch",
        "is not what was tested",
        "restored from",
    ):
        assert text in page


def test_a_mistake_ends_with_one_message_and_status_2(shows):
    told = "Give train, predict, explain, layers, trust, validate, compare, pca or averages; see --help."
    assert shows("mri3d", "pac") == (2, "", f"error: there is no command 'pac'. Did you mean 'pca'? {told}\n")
    assert shows("mri3d") == (2, "", f"error: no command is given. {told}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("component=3",), "there is no key 'component'. Did you mean 'components'?"),
        (("nonsense",), "'nonsense' is not of the form key=value"),
        (("components=many",), "components='many' is not a whole number"),
        (("components=-1", *SMALL), "components=-1 is negative"),
        (("also=[12]", *SMALL), "there is no component 12: these sessions have 11"),
        (("subject=demo03", *SMALL), "subject=demo03 does not take part. Did you mean 'demo003'?"),
        (("variance=500", *SMALL), "variance=500 is impossible: 12 subjects have 12 components in the transposed form"),
        (("variance=0", *SMALL), "variance=0 is impossible"),
        (("variance=1.0", *SMALL), "variance=1.0 is impossible"),
        (("run=nowhere",), "run=nowhere is no run: it does not exist. Give a folder of runs/"),
        (("run=nowhere", "data=demo"), "a run has its own data. Leave data=demo or run= out"),
        (("data=tabel",), "data=tabel: there is no such option. Did you mean 'table'?"),
        (("data=table",), "data.root and data.table are not set"),
        (("data.demos=3",), "data.demos is no option of Demo. Did you mean 'demo'?"),
        (("resolution=fine", "preprocess.crop=7"), "preprocess.crop=7 is not"),
        (
            ("resolution=30", "preprocess.resolution=24"),
            "resolution=30 and preprocess.resolution=24 contradict each other",
        ),
        (("model=sfcn",), "there is no key 'model'"),
        (("task=regresion",), "regression"),
        (("trust=5",), "trust=5 is no dotted name of a class"),
    ],
)
def test_mistakes_leave_nothing(tmp_path, here, arguments, message):
    status, said = here("mri3d", "pca", *arguments)
    assert status == 2
    assert message in said
    assert said.count("error:") == 1
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "report.html",
            "out=own holds a report.html that is of no earlier call, and would be replaced. Set another out",
        ),
        ("config.yaml", "out=own holds a run or a model, whose own files would be replaced. Set another out"),
        ("card.json", "out=own holds a run or a model, whose own files would be replaced. Set another out"),
    ],
)
def test_files_of_the_user_s_are_not_replaced(tmp_path, here, name, message):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / name).write_text("mine")
    status, said = here("mri3d", "averages", "data=bids", "data.root=nowhere", "data.label=x", "out=own")
    assert status == 2
    assert message in said
    assert (tmp_path / "own" / name).read_text() == "mine"
    assert len(list((tmp_path / "own").iterdir())) == 1


@undrawn()
def test_page_and_maps_of_an_earlier_call_are_replaced(classical):
    cwd, folder = classical
    for _ in range(2):
        run_here("mri3d", "averages", f"run={folder}", "out=twice", cwd=cwd)
    assert (cwd / "twice/report.html").is_file()


@pytest.mark.parametrize("command", ["pca", "averages"])
def test_help(shows, command):
    status, text, said = shows("mri3d", command, "--help")
    assert (status, said) == (0, "")
    assert "python -m mri3d averages data=table" in text
    assert "classes: the average of each" in text
    assert "a measure: the average, slope, t map" in text  # what is drawn depends on the outcome
    assert "data.label=label  (text)" in shows("mri3d", command, "data=table", "--help")[1]


def composed(monkeypatch, *arguments: str):
    """Give the configuration that a command line comes to."""
    found = []
    monkeypatch.setattr(maps, "make_maps", lambda name, options: found.append(maps.configuration(options)) or ())
    monkeypatch.setattr(sys, "argv", ["mri3d", *arguments])
    assert maps.main("pca", list(arguments)) == 0
    return found[0]


def test_data_options_are_those_of_the_training_script(monkeypatch):
    found = composed(
        monkeypatch, "data=table", "data.root=/study", "data.table=s.csv", "data.scan=T1/{id}.nii*",
        "data.unlabelled=[0]", "data.label=007", "preprocess=seed", "resolution=native", "task=regression",
    )  # fmt: skip
    assert found["data"]["_target_"] == "mri3d.cohort.table.Table"
    assert [found["data"][key] for key in ("scan", "unlabelled", "label")] == ["T1/{id}.nii*", [0], "007"]
    assert (found["resolution"], found["preprocess"]["orientation"]) == ("native", "stored")
    assert found["task"] == "regression"
    defaults = composed(monkeypatch)
    assert (defaults["resolution"], defaults["task"]) == (50, "classification")
    assert composed(monkeypatch, "preprocess.resolution=30")["resolution"] == 30


@pytest.mark.parametrize(
    "text",
    [
        "[no, off]",
        "[010]",
        "[1e-3]",
        "[1e-3, 1.0,-2]",
        "['1', \"a, b\", a b]",
        "[]",
        "[?,NA, yes]",
        "[True, null]",
        "[~]",
    ],
)
def test_lists_are_read_as_the_training_script_reads_them(monkeypatch, text):
    (override,) = hydra_overrides([f"data.unlabelled={text}"], groups=["data"], keys=[])
    expected = OverridesParser.create().parse_override(override).value()
    found = composed(
        monkeypatch, "data=table", "data.root=/s", "data.table=s.csv", "data.label=sex", f"data.unlabelled={text}"
    )["data"]["unlabelled"]
    assert found == [getattr(item, "text", item) for item in expected]  # without Hydra's note of how it was quoted
    assert [type(item) for item in found] == [type(getattr(item, "text", item)) for item in expected]


def test_run_options_can_be_overridden_but_not_swapped(tmp_path, monkeypatch):
    kept = composed(monkeypatch, "data.demo.num_subjects=12")
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({**kept, "trainer": {}, "seed": 0, "model": {"_target_": "a.B"}})
    )
    found = composed(monkeypatch, f"run={tmp_path}", "resolution=30", "data.skip_bad=true", "data.demo.effect=0.25")
    assert (found["resolution"], found["data"]["skip_bad"]) == (30, True)
    assert found["data"]["demo"] == {**kept["data"]["demo"], "effect": 0.25}
    assert composed(monkeypatch, f"run={tmp_path}") == kept
    kept["data"]["root"] = "${oc.env:HOME}"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**kept, "trainer": {}, "seed": 0}))
    with pytest.raises(UserError, match=r"data\.root is no option of Demo"):  # what a run holds is taken as it stands
        maps.configuration({"run": str(tmp_path)})
