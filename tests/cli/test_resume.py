"""`resume=`: what may be said beside it, and what is made of the settings of earlier versions."""

import pytest
import yaml

from mri3d.cli import train
from mri3d.cli.run_settings import read_configuration
from tests.cli.test_configs import configuration


@pytest.fixture(scope="module")
def settings():
    """Settings of a run on a table that is no longer there."""
    return configuration("data=table", "data.root=/old/study", "data.table=study.csv") | {"name": "x"}


@pytest.fixture
def folder(tmp_path, settings):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("typed", "data"),
    [
        ([], {}),
        (["data.root=/new/a b"], {"root": "/new/a b"}),
        (["data.root=/new", "data.table=t, 2.csv"], {"table": "t, 2.csv", "root": "/new"}),
        (["data.scan=/scratch/{id}.nii"], {"scan": "/scratch/{id}.nii"}),
        (["+data.root=/new", "trust=my.Net", "debug=true"], {"root": "/new"}),
    ],
)
def test_only_where_the_data_lie_may_be_told_anew(folder, settings, here, monkeypatch, typed, data):
    given = {}

    def execute(configuration, run, **options):
        given.update(options, configuration=configuration, run=run)
        return 0

    monkeypatch.setattr(train, "execute", execute)
    assert here("train", "resume=run", *typed)[0] == 0
    assert given["configuration"] == settings | {"data": settings["data"] | data}
    assert (given["resumed"], given["moved"]) == (True, bool(data))
    assert (given["source"], str(given["run"])) == ("run/config.yaml", "run")


@pytest.mark.parametrize(
    "other", ["seed=1", "data.label=age", "data.id=x", "data=bids", "model.batch_size=2", "task=regression", "-m", "x"]
)
def test_all_that_would_change_the_result_is_refused(folder, here, other):
    status, said = here("train", "resume=run", "data.root=/new", other)
    assert status == 2
    assert said.startswith(
        "error: resume=... takes everything from the run it continues, but where its data lie (data.r"
    )
    assert f"Leave {other} out." in said
    assert said.count("\n") == 1


def test_the_place_is_checked_as_any_option_is(folder, here):
    assert "data.root=5 is not text" in here("train", "resume=run", "data.root=5")[1]
    assert "/nowhere/at/all does not exist" in here("train", "resume=run", "data.root=/nowhere/at/all")[1]
    assert not (folder / "log.txt").exists()


def test_recipe_of_a_run_of_earlier_versions_is_the_one_that_it_began_with(folder, settings):
    assert read_configuration(folder)["preprocess"]["version"] == settings["preprocess"]["version"] >= 2
    older = {name: value for name, value in settings["preprocess"].items() if name != "version"}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | {"preprocess": older}))
    assert read_configuration(folder)["preprocess"]["version"] == 1
