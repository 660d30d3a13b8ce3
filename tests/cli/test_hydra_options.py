"""Options of Hydra's own work as Hydra's users know them."""

import pytest

from mri3d.cli.hydra_options import with_values
from mri3d.errors import UserError
from mri3d.version import __version__


@pytest.mark.parametrize(
    ("typed", "joined"),
    [
        (["--cfg", "job"], ["--cfg=job"]),
        (["--cfg=job"], ["--cfg=job"]),
        (["-c", "all", "-p", "data.demo"], ["-c=all", "-p=data.demo"]),
        (["--config-dir", "/a b", "data=mine"], ["--config-dir=/a b", "data=mine"]),
        (["-cd", "dir=x", "-cn", "cnn", "-cp", "x"], ["-cd=dir=x", "-cn=cnn", "-cp=x"]),
        (["--info"], ["--info=all"]),
        (["--info", "config", "seed=1"], ["--info=config", "seed=1"]),
        (["-i", "seed=1"], ["-i=all", "seed=1"]),
        (["--info=plugins", "-m", "--resolve"], ["--info=plugins", "-m", "--resolve"]),
        (["seed=1", "~data.root", "job"], ["seed=1", "~data.root", "job"]),
    ],
)
def test_values_stand_after_a_blank_or_an_equals_sign(typed, joined):
    assert with_values(typed) == joined


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--cfg"], r"^--cfg has no value\. Give --cfg job or --cfg hydra or --cfg all\.$"),
        (["--cfg", "-m"], r"^--cfg has no value"),
        (["--cfg", "jobs"], r"^--cfg=jobs is not one of job, hydra, all"),
        (["--config-dir"], r"^--config-dir has no value\. Give it after a blank"),
        (["--info=none"], r"^--info=none is not one of all, config"),
        (["--confg-dir", "x"], r"there is no option --confg-dir\. Did you mean '--config-dir'\?"),
        (
            ["--experimental-rerun", "config.pickle"],
            r"there is no option --experimental-rerun\. An option of mri3d",
        ),
    ],
)
def test_mistakes_are_named(typed, message):
    with pytest.raises(UserError, match=message):
        with_values(typed)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--cfg", "job", "seed=3"], "\nseed: 3\n"),
        (
            ["-c", "job", "--package", "trainer"],
            "# @package trainer\n_target_: mri3d.models.network.trainer.default",
        ),
        (["--cfg", "job", "--resolve"], "\nname: demo-sfcn-50\n"),
        (["--cfg", "hydra"], "dir: runs/${name}/"),
        (["--info", "searchpath"], "Config search path"),
        (["--info", "defaults", "model=ridge"], "| model/ridge "),
        (["--hydra-help"], "== Flags =="),
        (["--version"], f"mri3d {__version__}\n"),
        (["--config-dir", "more", "data=mine", "--cfg", "job", "-p", "data"], "\n  num_subjects: 8\n"),
    ],
)
def test_they_do_what_hydra_says_and_leave_nothing(arguments, shown, tmp_path, shows):
    (tmp_path / "more/data").mkdir(parents=True)
    mine = "_target_: mri3d.cohort.demo.Demo\ndemo:\n  _target_: mri3d.cohort.demo.DemoStudy\n  num_subjects: 8\n"
    (tmp_path / "more/data/mine.yaml").write_text(mine)
    status, out, said = shows("train", *arguments)
    assert (status, said) == (0, "")
    assert shown in out
    assert [path.name for path in tmp_path.iterdir()] == ["more"]


def test_help_knows_the_options_of_a_folder_of_ones_own(tmp_path, shows):
    (tmp_path / "data/data").mkdir(parents=True)
    mine = "_target_: mri3d.cohort.demo.Demo\ndemo:\n  _target_: mri3d.cohort.demo.DemoStudy\n  num_subjects: 8\n"
    (tmp_path / "data/data/mine.yaml").write_text(mine)
    status, out, said = shows("train", "--config-dir", "data", "data=mine", "--help")
    assert (status, said) == (0, "")
    assert "\n  data.demo.num_subjects=8  (whole number)\n" in out
    assert shows("train", "--config-dir", "data", "--help")[1].startswith(
        "Train and evaluate a model of 3D brain scans"
    )


@pytest.mark.parametrize("command", ["predict", "pca"])
def test_other_commands_show_their_configuration_too(command, shows):
    script = [command] if command == "predict" else ["mri3d", command]
    status, out, said = shows(*script, "--cfg", "job")
    assert (status, said) == (0, "")
    assert "\ndebug: false\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "--cfg", "job"], "Only one of --run, --multirun, --cfg"),
        (["--resolve"], "The --resolve flag can only be used"),
        (["--config-dir", "/nowhere/at/all"], "Additional config directory '/nowhere/at/all' not found"),
        (["resume=runs/x", "--cfg", "job"], "takes everything from the run it continues, but where its data lie"),
    ],
)
def test_what_hydra_refuses_is_one_line(arguments, message, shows):
    status, out, said = shows("train", *arguments)
    assert (status, out) == (2, "")
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
