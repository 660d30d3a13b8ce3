"""What a layer gives for a scan, as it is written: each cell where it lies in the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri3d.errors import UserError
from mri3d.explain.layers import Cells
from mri3d.models.explaining import SPACES
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.voting import Voting
from mri3d.scans.scan import MNI, write_image


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """What a layer gives for a scan, on the grid of its own cells: nothing is interpolated.

    Attributes:
        layer: Its name.
        values: float32 [D, X', Y', Z'], in the unit of the layer.
        cells: Where they lie in the volume.
        affine: From cells to the world [4, 4].
        code: That NIfTI has for its space.
    """

    layer: str
    values: np.ndarray
    cells: Cells
    affine: np.ndarray
    code: int

    @property
    def variances(self) -> np.ndarray:
        """How much each channel differs from cell to cell [D]."""
        return np.asarray(self.values.var(axis=(1, 2, 3), dtype=np.float64))

    def write(self, path: Path, channels: Sequence[int]) -> None:
        """Write some channels as float32 [X', Y', Z', channel]."""
        values = np.moveaxis(self.values[list(channels)], 0, -1)
        description = f"{self.layer}: channels {' '.join(map(str, channels))}"
        write_image(path, values, self.affine, code=self.code, description=description)


def feature_maps(
    model: Voting, found: ScanPrediction, cells: Mapping[str, Cells], *, space: str = SPACES[0]
) -> list[FeatureMap]:
    """Compute what layers of the first member give for a predicted scan.

    Args:
        model: Of a network, and of scans.
        found: What was predicted.
        cells: Where those of each layer that is asked for lie in a volume, by its name.
        space: Of the scan's world, or of MNI152, see `Explaining.check_space`.

    Raises:
        UserError: What a layer gives is not finite.
    """
    assert found.scan is not None, "it was predicted"
    assert found.volume is not None, "it was predicted"
    recipe = model.require_recipe()
    affine, code = recipe.affine(found.scan), found.scan.code
    if space == "mni" and recipe.shared_affine is not None:
        affine, code = recipe.shared_affine, MNI
    maps = model.members[0].model.feature_maps(found.volume, list(cells), covariates=found.covariates)
    if wrong := [name for name, values in maps.items() if not np.isfinite(values).all()]:
        raise UserError(f"the layer {wrong[0]} gives no finite numbers for this scan.")
    return [FeatureMap(name, maps[name], each, affine @ each.to_volume, code) for name, each in cells.items()]
