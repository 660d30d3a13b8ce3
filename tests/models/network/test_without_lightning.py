"""Lightning takes seconds to import: who fits no network does not wait for it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_models_without_a_network_need_no_lightning():
    code = """
import sys
import numpy as np
import mri3d, mri3d.runs
volumes = np.random.default_rng(0).random((12, 7, 8, 9))
study = mri3d.Study.from_arrays(volumes, labels=["a", "b"] * 6)
ridge = mri3d.models.Ridge(num_components=0.9, inner_folds=2)
assert len(mri3d.evaluate(study, ridge, mri3d.KFold(folds=2)).rows) == 12
assert not {"pytorch_lightning", "lightning_fabric"} & set(sys.modules), "Lightning was imported"
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
