"""What tests of checkpoints share: fits that leave some, a copy of what they left, and how a refusal reads."""

import re
import shutil
from dataclasses import replace

import pytest

from mri3d.errors import UserError
from tests.models.blobs import cnn, training


def refused(path, reason=""):
    return pytest.raises(UserError, match=rf"^{re.escape(str(path))} cannot be read as a checkpoint \(.*{reason}")


def fitted(folder, *, name="fold_0", seed=3, epochs=1):
    """Fit, and give what was learnt from, in whose folder the checkpoints lie."""
    made = replace(training(folder, seed=seed), name=name)
    cnn(epochs=epochs).fit(made)
    return made


def copied(made, folder):
    """Give the same as it would be learnt from in another folder, and copies of the checkpoints there."""
    moved = replace(made, folder=folder)
    shutil.copytree(made.checkpoints, moved.checkpoints)
    return moved
