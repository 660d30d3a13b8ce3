"""Columns of the table that a study keeps because options name them."""

from typing import Any

from mri3d.errors import UserError, option
from mri3d.texts import as_list


def keep_columns(checked: dict[str, Any]) -> dict[str, str]:
    """Let the study keep the columns that evaluation and model go by; return them, each with the option that names it.

    Args:
        checked: The complete configuration; `data.covariates` is added to.

    Raises:
        UserError: The data have no table.
    """
    from mri3d.cohort.noticed import FACTS  # here: it imports numpy, and help need not wait for that

    data, evaluation = checked["data"], checked["evaluation"]
    named = {str(name): "evaluation.balance" for name in as_list(evaluation.get("balance") or ())}
    named |= {str(evaluation["column"]): "evaluation.column"} if "column" in evaluation else {}
    confounds = [str(name) for name in as_list(evaluation.get("confounds") or ())]
    named |= {name: "evaluation.confounds" for name in confounds if name not in FACTS}
    covariates = [str(name) for name in as_list(checked["model"].get("covariates") or ())]
    named |= {name: "model.covariates" for name in covariates if name not in FACTS}
    for place, names in (("evaluation.confounds", confounds), ("model.covariates", covariates)):
        for name in names:
            if name == data.get("label"):
                raise UserError(f"{option(place, name)} is what is predicted. Leave it out.")
            if names.count(name) > 1:
                raise UserError(f"{option(place, name)} stands there twice. Leave one out.")
    sites = "site" not in data and evaluation["_target_"] == "mri3d.evaluation.given_splits.LeaveSiteOut"
    if "covariates" not in data:
        if sites or named:
            column, place = next(iter(named.items()), ("leave_site_out", "evaluation"))
            asked = option(place, column)
            raise UserError(
                f"{asked} goes by a column of a table, and these data have none. Set data=table or data=bids."
            )
        return {}
    kept = as_list(data["covariates"])
    added = {name: asked for name, asked in named.items() if name not in (*map(str, kept), "site" * bool(data["site"]))}
    data["covariates"] = [*kept, *added]
    return added
