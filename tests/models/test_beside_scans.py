"""What new scans and volumes must say beside their images, and how it is read."""

from pathlib import Path

import numpy as np
import pytest

from mri3d import UserError, fit, models
from mri3d.models.beside_scans import Beside, known_of, known_of_sessions
from tests.models.test_covariates import NAMES, study_of, table_of


@pytest.mark.parametrize(
    ("covariates", "told"),
    [
        ({"age": [50.0]}, "Give covariates with site"),
        (None, "Give covariates with age, site"),
        ({"age": [50.0, 40.0], "site": ["x"]}, r"covariates\['age'\] has 2 values for 1 volumes"),
        ({"age": ["old"], "site": ["x"]}, "age is 'old', and the model has learnt from numbers"),
        ({"age": [50.0], "site": ["w"]}, r"covariates\['site'\] has w, which the model has not learnt from"),
    ],
)
def test_what_new_volumes_must_say_is_told_by_name(covariates, told):
    study = study_of(6, number=30)
    model = fit(study, models.Ridge(covariates=NAMES, num_components=0.5, alpha=1.0))
    with pytest.raises(UserError, match=told):
        model.predict_arrays(study.volumes.volumes[:1], covariates)


@pytest.mark.parametrize(("age", "told"), [(8000.0, "far from all that the model has learnt from"), (-999.0, None)])
def test_numbers_that_nobody_has_are_told(age, told, caplog):
    study = study_of(7, number=30)
    model = fit(study, models.Ridge(covariates=NAMES, num_components=0.5, alpha=1.0))
    if told is None:
        with pytest.raises(UserError, match="age is -999, which studies write where a value is missing"):
            model.predict_arrays(study.volumes.volumes[:1], {"age": [age], "site": ["x"]})
    else:
        model.predict_arrays(study.volumes.volumes[:1], {"age": [age], "site": ["x"]})
        assert f"volume 0: age is 8000, {told} (mean " in caplog.text


def test_decimal_commas_are_read_as_in_training():
    study = study_of(number=40)
    commas = {name: [f"{cell}".replace(".", ",") for cell in cells] for name, cells in table_of(study).items()}
    commas["age"][3] = "NA"
    points = table_of(study)
    points["age"][3] = ""
    model = fit(study, models.Ridge(covariates=NAMES, num_components=0.5, alpha=1.0))
    volumes = study.volumes.volumes
    np.testing.assert_array_equal(model.predict_arrays(volumes, commas), model.predict_arrays(volumes, points))
    encoders = [member.model.encoder for member in model.members]
    rows = [{name: cells[row] for name, cells in commas.items()} for row in range(40)]
    variables, problems, _ = known_of_sessions(encoders, rows, study.ids)
    assert not problems
    ages = variables.members[0].values
    assert np.isnan(ages[3])
    np.testing.assert_allclose(np.delete(ages, 3), np.delete([float(cell or 0) for cell in points["age"]], 3))
    names = [f"scan{row}" for row in range(40)]
    beside = Beside.read(encoders, {"scan": names, **commas})
    assert beside.known(Path("/new/scan5.nii.gz")).variables.members[0].values[0] == ages[5]


def test_a_comma_among_points_is_told_of_and_a_category_is_guessed():
    study = study_of(number=40)
    model = fit(study, models.Ridge(covariates=NAMES, num_components=0.5, alpha=1.0))
    volumes = study.volumes.volumes[:2]
    with pytest.raises(UserError, match=r"age is '50,5', and the model has learnt from numbers. Write decimals with a"):
        model.predict_arrays(volumes, {"age": ["50,5", "40.2"], "site": ["x", "y"]})
    encoders = [member.model.encoder for member in model.members]
    with pytest.raises(UserError, match=r"site is 'X', .* learnt from \(x, y, z\). Did you mean 'x'"):
        known_of(encoders, {"age": "50", "site": "X"})


def test_it_is_told_of_how_many_a_covariate_is_not_known(caplog):
    study = study_of(number=40)
    model = fit(study, models.Ridge(covariates=NAMES, num_components=0.5, alpha=1.0))
    rows = [{"age": "" if row < 9 else "50", "site": "x"} for row in range(10)]
    known_of_sessions([member.model.encoder for member in model.members], rows, list("abcdefghij"))
    assert "of 9 of 10 sessions age is not known: the average of the training sessions is taken" in caplog.text
    assert "site is not known" not in caplog.text
