"""A heatmap as it is written: an image, and beside it what it shows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mri3d.explain.evidence import Evidence, Question
from mri3d.outcome import Outcome
from mri3d.scans.scan import image_of, write_image

STEP = 1 / 4000
"""Of the values in a file, which go from -1 to 1: finer ones take more room and tell no more."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Evidence on a grid of NIfTI.

    Attributes:
        asked: What was explained.
        evidence: On the grid of the volume, in its own unit.
        values: In units of the strongest, -1 to 1, float32 [X, Y, Z].
        affine: Of the values [4, 4].
        code: That NIfTI has for their space.
    """

    asked: Question
    evidence: Evidence
    values: np.ndarray
    affine: np.ndarray
    code: int

    def image(self, outcome: Outcome) -> nib.Nifti1Image:
        """Return it as an image in memory, float32."""
        return image_of(self.values, self.affine, code=self.code, description=self._description(outcome))

    def write(self, path: Path, outcome: Outcome) -> None:
        """Write it as int16 in multiples of `STEP`."""
        description = self._description(outcome)
        write_image(path, self.values, self.affine, code=self.code, description=description, step=STEP)

    def facts(self, outcome: Outcome, *, num_models: int, trust: tuple[bool | None, str]) -> dict[str, Any]:
        """Return what the values mean, and how they were computed: JSON types.

        `scale` is what a value is multiplied by to be in `unit`.

        Args:
            outcome: What is predicted.
            num_models: How many voted.
            trust: Whether training found that such maps can be trusted, None where it did not find out; and why.
        """
        kind, (high, low) = self.asked.method.kind, outcome.words.evidence(self.asked.target)
        return {
            "method": self.asked.method.name,
            **({"layer": self.asked.method.layer} if self.asked.method.layer else {}),
            "value": kind.value,
            "positive": high,
            "negative": low,
            "scale": self.evidence.strongest,
            "unit": kind.unit.format(outcome.words.evidence_unit(self.asked.target)),
            "adds_up": kind.adds_up,
            "num_models": num_models,
            "trusted": trust[0],
            **({"trusted_reason": trust[1]} if trust[1] else {}),
            **self.evidence.facts,
        }

    def _description(self, outcome: Outcome) -> str:
        return f"{self.asked.method}: positive {outcome.words.evidence(self.asked.target)[0]}"
