"""The models of several folds on the command line."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from mri3d.model_folder import read_model, write_model
from tests.cli.test_train_and_predict import SMALL, rows_of, the_run
from tests.commands import run_here, undrawn


@pytest.fixture(scope="module")
@undrawn()
def kfold(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("kfold")
    run_here("train", *SMALL, "trainer.max_epochs=1", "evaluation=kfold", "evaluation.folds=2", "name=two", cwd=cwd)
    return cwd, the_run(cwd)


@pytest.mark.slow
def test_folds_vote(kfold, tmp_path):
    _, folder = kfold
    assert sorted(path.parent.name for path in folder.glob("model/*/card.json")) == ["fold_0", "fold_1"]
    rows = rows_of(folder / "predictions.csv")
    assert len({row["subject"] for row in rows}) == len(rows) == 12
    scan = rows_of(folder / "cohort.csv")[0]["scan"]
    run_here("predict", f"model={folder}", f"scans={scan}", "out=all", "heatmap=none", cwd=tmp_path)
    singles = []
    for k in range(2):
        one = folder / f"model/fold_{k}"
        run_here("predict", f"model={one}", f"scans={scan}", f"out=f{k}", "heatmap=none", cwd=tmp_path)
        singles.append(float(rows_of(tmp_path / f"f{k}/predictions.csv")[0]["p_1"]))
    (voted,) = rows_of(tmp_path / "all/predictions.csv")
    assert float(voted["p_1"]) == pytest.approx(np.mean(singles), abs=1e-7)
    assert float(voted["spread"]) == pytest.approx(np.std(singles), abs=1e-5)
    assert not (tmp_path / "all/heatmaps").exists()


@pytest.mark.slow
def test_folds_that_are_missing_are_told(kfold, tmp_path):
    _, folder = kfold
    shutil.copytree(folder / "model", tmp_path / "model")
    shutil.copytree(tmp_path / "model/fold_0", tmp_path / "model/fold_7")
    for name in ("fold_0", "fold_7"):
        contents = read_model(tmp_path / f"model/{name}")
        write_model(tmp_path / f"model/{name}", replace(contents, card=replace(contents.card, num_folds=3)))
    shutil.rmtree(tmp_path / "model/fold_1")
    done = run_here("predict", "model=model", "scans=x.nii", "out=r", cwd=tmp_path, status=2)
    assert "the models of 2 of its 3 folds" in done.stderr
