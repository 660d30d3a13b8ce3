"""Mistakes on the command line end with status 2, one message, and nothing written."""

import re

import pytest

from mri3d.files import check_folder
from tests.cli.test_train_and_predict import SMALL


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resolutoin=3"], "Did you mean 'resolution'?"),
        (["model=sfnc"], "Did you mean 'sfcn'?"),
        (["model.bach_size=3"], "Did you mean 'batch_size'?"),
        (["model.batch_size=many"], "model.batch_size='many' is not a whole number"),
        (["trainer.max_epoch=3"], "Did you mean 'max_epochs'?"),
        (["resolution=0"], "resolution"),
        (["data=table"], "data.root and data.table are not set. Give data.root=... data.table=..."),
        (["data=table", "data.root=/nowhere/at/all", "data.table=s.csv", "data.label=x"], "/nowhere/at/all"),
        (["resume=runs/none"], "no run"),
        (["resume=runs/none", "seed=3"], "takes everything from the run"),
        (["trainer.accelerator=gpuu"], "gpuu"),
        (["trainer.limit_val_batches=0"], "limit_val_batches=0"),
        (["model.optimizer.lr=-1"], "learning rate"),
        (["seed=-1"], "seed=-1 is out of range"),
        (["seed=18446744073709551616"], "is out of range"),
        (["name=a/../../b"], "leads out of runs/"),
        (["trainer=null"], "trainer=null chooses nothing"),
        (["seed=a"], "seed='a' is not a whole number"),
        (["seed=null"], "seed=None is not a whole number"),
        (["data.root=${nowhere}"], "Interpolation key 'nowhere' not found"),
        ([SMALL[0], "model.network.channels=[]"], "channels=[] is not a list of whole numbers"),
        ([SMALL[0], "resolution=3"], "too small for this network"),
        ([SMALL[0], "evaluation.validation=0"], "stops by its validation rows"),
        ([SMALL[0], "trainer.devices=4", "trainer.accelerator=cpu"], "validation sessions cannot be shared by 4"),
        (["trainer.max_epochs=0"], "leaves no time to learn"),
        (["+resume=runs/none"], "takes everything from the run"),
        (["task=regresion"], "regression"),
        (["resolution=20", "preprocess.resolution=24"], "resolution=20 and preprocess.resolution=24 contradict"),
        (["trainer.devices=2", "model.trainer.devices=1"], "trainer.devices=2 and model.trainer.devices=1 contradict"),
        (["model.network.num_outputs=3"], "model.network.num_outputs is no option of SFCN"),
        (["trust=MyNet"], "trust=MyNet is no dotted name of a class"),
        (["model=ridge", "trainer.max_epochs=5"], "trainer.max_epochs=5 does nothing for Ridge, which is fitted witho"),
        (["model=knn", "model.trainer.devices=2"], "trainer.devices=2 does nothing for KNN, which is fitted without a"),
        (["trainer.callbacks=[]"], "trainer.callbacks is set by mri3d itself"),
        (["model.network._target_=no_such_module.Net"], "model.network._target_=no_such_module.Net cannot be imported"),
    ],
)
def test_mistake_ends_with_status_2_one_message_and_no_run(arguments, message, tmp_path, here):
    status, said = here("train", *arguments)
    assert status == 2
    assert message in said
    assert said.count("error:") == 1
    assert "Traceback" not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: &a\n  loop: *a\nseed: 0\n", "config.yaml is damaged: a part of it holds itself"),
        ("trainer: [&a [*a]]\nseed: 0\n", "config.yaml is damaged: a part of it holds itself"),
        ("trainer: {}\nseed: 0\n2020-01-01: x\n", "there is no key datetime.date(2020, 1, 1)"),
        ("- trainer\n- seed\n", "config.yaml is damaged: it has no seed, trainer"),
    ],
)
def test_settings_that_no_run_wrote_are_told_in_one_line(text, message, tmp_path, here):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(text)
    status, said = here("train", "resume=run")
    assert status == 2, said
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [1, 2])
def test_the_folder_above_a_run_is_told_apart_from_it(number, tmp_path, here):
    runs = [tmp_path / f"runs/cut/2026-01-0{day + 1}" for day in range(number)]
    for run_folder in runs:
        run_folder.mkdir(parents=True)
        (run_folder / "config.yaml").write_text("{}")
    status, said = here("train", "resume=runs/cut")
    assert status == 2
    expected = " or ".join(str(folder.relative_to(tmp_path)) for folder in runs)
    assert f"runs/cut is no run that began: No such file or directory. Did you mean {expected}?" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [("seed: [", "config.yaml is damaged"), ("seed: 3", "config.yaml is damaged: it has no trainer")],
)
def test_damaged_settings_of_a_run_are_told(text, message, tmp_path, here):
    (tmp_path / "config.yaml").write_text(text)
    status, said = here("train", f"resume={tmp_path}")
    assert status == 2
    assert message in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "model and scans are not set. Give model=... scans=..."),
        (["model=nowhere"], "scans is not set. Give scans=..."),
        (["model=nowhere", "scans=x.nii"], "nowhere is no folder"),
        (["model=.", "scans=x.nii"], "holds no model"),
        (["modle=."], "Did you mean 'model'?"),
        (["model=.", "scans=null"], "scans=None is no path"),
        (["model=.", "scans=[5]"], "scans=[5] is no path"),
    ],
)
def test_mistake_in_a_prediction_ends_with_status_2(arguments, message, tmp_path, here):
    status, said = here("predict", *arguments)
    assert status == 2
    assert message in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


UNWRITABLE = ["/proc/x", "/proc/x/deep", "file", "file/x", "file/x/deep"]


@pytest.mark.parametrize("out", UNWRITABLE)
@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("predict", ["model=nowhere", "scans=x.nii"]),
        ("mri3d", ["compare", "runs/a", "runs/b"]),
        ("mri3d", ["pca"]),
        ("mri3d", ["averages", "data=bids"]),
    ],
    ids=["predict", "compare", "pca", "averages"],
)
def test_folder_that_cannot_be_written_is_told_first(script, arguments, out, tmp_path, here):
    (tmp_path / "file").write_text("mine")
    needed = ["data.root=.", "data.label=x"] if "data=bids" in arguments else []
    status, said = here(script, *arguments, *needed, f"out={out}")
    assert status == 2
    assert re.fullmatch(rf"error: out={out} cannot be written to: [A-Z][a-z ]+\. Set another out\.\n", said)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("out", [*UNWRITABLE[:2], "file/x"])
def test_run_folder_that_cannot_be_made_is_told_in_one_line(out, tmp_path, here):
    (tmp_path / "file").write_text("mine")
    status, said = here("train", SMALL[0], f"hydra.run.dir={out}")
    assert status == 2
    assert said.startswith("error: ")
    assert out.split("/x")[0] in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("there", "there/a/b", "new"):
        check_folder(tmp_path / name, "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]
