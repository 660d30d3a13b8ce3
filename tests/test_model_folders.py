"""Which models a folder holds, and what is told of one that holds none."""

import os
from pathlib import Path

import pytest

from mri3d.errors import UserError
from mri3d.model_places import model_folders


def test_of_a_folder_of_runs_the_newest_that_hold_a_model_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for age, run in enumerate(["demo/1", "demo/2", "other/3"]):
        card = Path("runs", run, "model", "fold_0" if run == "demo/2" else "", "card.json")
        card.parent.mkdir(parents=True)
        card.touch()
        os.utime(card, (1000 + age, 1000 + age))
    Path("runs/demo/4").mkdir()  # has no model yet
    with pytest.raises(
        UserError, match=r"runs/demo holds no model: .*2 runs in it do, the newest first: runs/demo/2, runs/demo/1$"
    ):
        model_folders(Path("runs/demo"))
    with pytest.raises(UserError, match=r"3 runs in it do, the newest first: runs/other/3, runs/demo/2, runs/demo/1$"):
        model_folders(Path("runs"))
    with pytest.raises(UserError, match=r"A run in it does: runs/other/3$"):
        model_folders(Path("runs/other"))
    Path("runs/x-sweep").mkdir()
    Path("runs/x-sweep/models.csv").write_text("model,auc,run\nknn,0.9,runs/gone\nridge,0.8,runs/demo/1\nsfcn,0.7,\n")
    with pytest.raises(UserError, match=r"whose best run is: runs/demo/1$"):
        model_folders(Path("runs/x-sweep"))
    Path("runs/loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"^runs/loop is a link that leads in a circle\. Give a run"):
        model_folders(Path("runs/loop"))
