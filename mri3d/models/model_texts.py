"""What is written of a model: how it is set, and how a fit makes predictions."""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from mri3d.outcome import Line, Temperature
from mri3d.texts import as_list


def fitted_by(
    *, temperature: Temperature | None = None, sigmoids: np.ndarray | None = None, line: Line | None = None
) -> dict[str, Any]:
    """Return what `Model.calibration` says of a fit.

    Args:
        temperature: Of a network's outputs.
        sigmoids: Slope and offset for each decision [D, 2].
        line: That corrects predictions.
    """
    if temperature is not None:
        return {"method": "temperature", **asdict(temperature)}
    if sigmoids is not None:
        slopes, offsets = sigmoids.T.tolist()
        return {"method": "sigmoids", "slopes": slopes, "offsets": offsets}
    return {"method": "none"} if line is None else {"method": "line", **asdict(line)}


def options_text(model: Any, *, instead: Mapping[str, object] | None = None) -> str:  # noqa: ANN401 (any dataclass)
    """Write the options of a dataclass of a model, for its `identity`.

    Args:
        model: Whatever has been fitted since.
        instead: Options that are written as something else, by name.
    """
    options = {
        one.name: getattr(model, one.name)
        for one in fields(model)
        if not (one.metadata.get("newer") and _alike(getattr(model, one.name), one.default))  # as in earlier versions
    } | dict(instead or {})
    text = f"{type(model).__name__} {options!r}"
    return re.sub(" at 0x[0-9a-f]+", "", text)  # where a function lies differs each time


def _alike(value: object, default: object) -> bool:
    """Return whether a value is the default, be it a list or a tuple."""
    return as_list(value) == as_list(default)
