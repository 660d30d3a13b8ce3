"""Columns that an evaluation goes by are kept by the study without being asked for twice."""

import pytest

from mri3d.cli.configuration import make_parts
from mri3d.errors import UserError
from tests.cli.test_configs import composed
from tests.studies import write_heads


def parts_of(root, *more: str):
    write_heads(root, 8, sex=["F", "M"] * 4, site=["n", "s"] * 4)
    places = (f"data.root={root}", "data.table=study.csv", "data.id=subject", "data.label=label", "data.scan={id}.nii")
    return make_parts(composed("data=table", *places, "model=knn", "resolution=16", *more))


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        (["evaluation.balance=[sex]"], ["sex"]),
        (["evaluation.balance=sex"], ["sex"]),
        (["evaluation.balance=[sex,site]", "data.covariates=[sex]"], ["sex", "site"]),
        (["evaluation.balance=[site]", "data.site=site"], []),
        (["evaluation=column", "evaluation.column=sex"], ["sex"]),
        (["evaluation=kfold"], []),
    ],
)
def test_they_are_kept_once(tmp_path, more, kept):
    parts = parts_of(tmp_path, *more)
    assert parts.configuration["data"]["covariates"] == kept
    assert list(parts.study.source.covariates) == kept
    cohort = parts.study.read().cohort
    assert all(list(session.covariates) == kept for session in cohort.sessions)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["evaluation.balance=[sxe]"], "Set evaluation.balance to one of them. Did you mean 'sex'?"),
        (["evaluation=column", "evaluation.column=sxe"], "Set evaluation.column to one of them. Did you mean 'sex'?"),
        (["data.covariates=[sxe]"], "Set data.covariates to one of them. Did you mean 'sex'?"),
    ],
)
def test_one_that_is_not_there_is_told_by_the_option_that_names_it(tmp_path, more, told):
    with pytest.raises(UserError) as raised:
        parts_of(tmp_path, *more).study.read()
    assert raised.value.on_command_line().startswith("column 'sxe' is not in study.csv")
    assert told in raised.value.on_command_line()
