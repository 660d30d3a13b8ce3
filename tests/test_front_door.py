"""`import mri3d`: light, complete, and documented by examples that run."""

import inspect
import subprocess
import sys

import pytest

import mri3d
from mri3d import models, nets

PUBLIC = [(mri3d, name) for name in mri3d.__all__] + [(models, name) for name in models.__all__]
OBJECTS = [
    pytest.param(owner, name, id=f"{owner.__name__}.{name}")
    for owner, name in [*PUBLIC, *((nets, name) for name in nets.__all__)]
    if not name.startswith("__")
]
HEAVY = (
    "torch", "pytorch_lightning", "lightning_fabric", "monai", "numpy", "pandas", "nibabel", "sklearn", "scipy",
    "matplotlib", "hydra",
)  # fmt: skip


def imported_by(*codes: str):
    """Return which heavy libraries a fresh interpreter has after running each of some pieces of code in turn."""
    told = f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    script = "\n".join(["import sys", *(f"{code}\n{told}" for code in codes)])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_import_takes_nothing_with_it():
    assert imported_by("import mri3d; dir(mri3d); mri3d.__version__") == [set()]
    assert imported_by("import mri3d; mri3d.models; dir(mri3d.models); mri3d.nets; dir(mri3d.nets)") == [set()]


EVALUATION = """
import numpy as np, mri3d.runs
volumes = np.random.default_rng(0).random((12, 7, 8, 9))
study = mri3d.Study.from_arrays(volumes, labels=["a", "b"] * 6)
ridge = mri3d.models.Ridge(num_components=0.9, inner_folds=2)
assert len(mri3d.evaluate(study, ridge, mri3d.KFold(folds=2)).rows) == 12
"""


def test_what_is_used_is_imported_then():
    mistake, protocol, table, layers, study, evaluation, network = imported_by(
        "from mri3d import UserError",
        "import mri3d.nets; from mri3d.nets import Network",
        "from mri3d.cohort.table import Table",
        "from mri3d.nets import SFCN",
        "from mri3d import Study, Holdout, KFold, Nested, Recipe",
        EVALUATION,
        "from mri3d import Study, evaluate; from mri3d.models import CNN",
    )
    assert mistake == set()
    assert "torch" not in protocol
    assert "torch" not in table
    assert "torch" in layers
    assert "monai" not in layers
    assert "pytorch_lightning" not in study
    assert not {"pytorch_lightning", "lightning_fabric"} & evaluation, "it takes seconds, and only networks need it"
    assert "hydra" not in network


def test_the_names_are_those_of_the_contract():
    contract = {"Study", "evaluate", "fit", "load", "compare", "Holdout", "KFold", "Nested", "Recipe", "UserError"}
    assert contract | {"models", "nets", "All", "Results", "TrainedModel"} <= set(mri3d.__all__)
    assert set(models.__all__) == {"CNN", "Logistic", "LinearSVM", "RBFSVM", "KNN", "Ridge"}
    assert {"FFTConv3d", "fast_conv3d"} <= set(nets.__all__)
    assert mri3d.__version__.count(".") == 2


@pytest.mark.parametrize(("owner", "name"), OBJECTS)
def test_a_public_name_is_there_and_its_docstring_has_an_example(owner, name):
    found = getattr(owner, name)
    assert name in dir(owner)
    text = vars(found).get("__doc__") if inspect.isclass(found) else found.__doc__  # none that was inherited
    assert text
    assert ">>>" in text, "no example"
    first = text.strip().splitlines()[0]
    assert first.endswith((".", ":"))
    assert not inspect.isfunction(found) or not first.startswith(("Give", "Say", "Tell"))


@pytest.mark.parametrize("owner", [mri3d, models, nets], ids=lambda owner: owner.__name__)
def test_a_name_that_is_not_there_is_an_attribute_error(owner):
    with pytest.raises(AttributeError, match=f"module '{owner.__name__}' has no attribute 'Stduy'"):
        _ = owner.Stduy
    assert set(owner.__all__) <= set(dir(owner))
    assert dir(owner) == sorted(dir(owner))


def test_user_errors_are_value_errors():
    assert issubclass(mri3d.UserError, ValueError)
