"""The brain that all others are aligned with: MNI152, as the wheel of nilearn carries it."""

import functools
from dataclasses import dataclass
from importlib import metadata

import numpy as np
from scipy import ndimage

from mri3d.errors import NotInstalledError

SIDES_MM, CENTRE_MM = (145, 181, 155), (0.0, -17.0, 5.0)
"""Of the box of its brain, R, A, S, in the space of MNI152."""

_NUM_VOXELS, _SUM, _ROUNDING = 1_882_995, 1_307_133.5, 100.0  # brain, its intensities: nilearn 0.14.1
_BRAIN_LEVEL = 0.2  # its intensities are 0 to 1, white matter 0.86; nilearn's own mask of it begins there too


@dataclass(frozen=True, eq=False)
class Template:
    """A brain on its grid.

    Attributes:
        brain: Intensities [X, Y, Z], RAS+, float32 in 0..1; 0 outside the mask.
        mask: Which voxels are brain, bool [X, Y, Z]: one piece without holes.
        affine: Voxel-to-world matrix [4, 4], float64; world axes R, A, S in mm.
    """

    brain: np.ndarray
    mask: np.ndarray
    affine: np.ndarray


@functools.cache
def mni_template() -> Template:
    """Load the average brain of 152 people, symmetric MNI ICBM152 2009 at 1 mm (Fonov et al. 2011).

    Returns:
        The same arrays each time, which cannot be written to.

    Raises:
        NotInstalledError: nilearn has another template, to which kept brains and models of them would not belong.
    """
    from nilearn.datasets import load_mni152_template  # 2 s

    image = load_mni152_template(resolution=1)
    intensities = np.asarray(image.dataobj, np.float32)
    mask = _filled_piece(intensities > _BRAIN_LEVEL)
    if abs(np.count_nonzero(mask) - _NUM_VOXELS) > _ROUNDING or abs(float(intensities[mask].sum()) - _SUM) > _ROUNDING:
        raise NotInstalledError(
            f"the template of MNI152 that nilearn {metadata.version('nilearn')} carries is another than that which "
            "brains are aligned with. Install nilearn 0.14.1."
        )
    template = Template(np.where(mask, intensities, np.float32(0)), mask, np.array(image.affine, np.float64))
    for array in (template.brain, template.mask, template.affine):
        array.flags.writeable = False
    return template


def _filled_piece(mask: np.ndarray) -> np.ndarray:
    """Keep the largest piece of a mask, and fill its holes."""
    pieces, _ = ndimage.label(mask)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(largest))
