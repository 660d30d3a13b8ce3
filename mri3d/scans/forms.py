"""Where a NIfTI file says that its voxels lie: sform, qform, voxel size and unit, held against each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes
from nibabel.spatialimages import HeaderDataError

from mri3d.scans.errors import ScanError
from mri3d.scans.geometry import SPACING_RANGE_MM, affine_warnings, by_sides, check_affine, disagreement, spacing_of

MAX_QUATERNION_EXCESS = 1e-3  # over unit length: rounding to four digits; what is longer is no rotation
SCALE_ROUNDING = 1e-3  # share by which pixdim may differ from the sform in silence
MAX_SCALE_ERROR = 1e-2
CODES = range(6)
_UNITS = {1: ("metres", 1e3), 3: ("microns", 1e-3)}  # and what makes mm of them, by the spatial bits of xyzt_units
_SPATIAL_BITS = 7
_QUATERNION = ("quatern_b", "quatern_c", "quatern_d")


@dataclass(frozen=True, eq=False)
class Forms:
    """What a header says of where its voxels lie.

    Attributes:
        path: The file, for messages.
        sform: Matrix [4, 4] of the sform's fields, set or not.
        qform: Matrix [4, 4] of the qform's fields, set or not; None where they are impossible.
        base: Matrix [4, 4] by the voxel size alone.
        sform_code: NIfTI code; 0 where it is not set.
        qform_code: As `sform_code`.
        qfac: Handedness of the qform, `pixdim[0]`; NIfTI reads 0 as 1.
        pixdim: Voxel size [3] as it stands in the header.
        turned: Whether the qform has any rotation: writers that know of none leave zeros.
        unit: Of lengths, as `xyzt_units` has it.
        told: What is odd about the codes.
        impossible: Why there is no qform.
    """

    path: Path
    sform: np.ndarray
    qform: np.ndarray | None
    base: np.ndarray
    sform_code: int
    qform_code: int
    qfac: float
    pixdim: np.ndarray
    turned: bool
    unit: int
    told: tuple[str, ...]
    impossible: str

    @classmethod
    def of(cls, path: Path, header: Any, raw: Any) -> "Forms":  # noqa: ANN401 (nibabel has no types)
        """Read them.

        Args:
            path: The file, for messages.
            header: The header as nibabel has made it fit to be used.
            raw: The header as it stands in the file.
        """
        pixdim = np.array(raw["pixdim"], np.float64)
        codes = {name: int(raw[name]) for name in ("sform_code", "qform_code")}
        if pixdim[0] in (-1, 0, 1):
            qform, impossible = _qform(header)
        else:
            qform, impossible = None, f"pixdim[0] (qfac) is {pixdim[0]:g}, not -1 or 1, and the qform needs it"
        odd = [name for name, code in codes.items() if code not in CODES]
        return cls(
            path=path,
            sform=np.array(header.get_sform(), np.float64),
            qform=qform,
            base=np.array(header.get_base_affine(), np.float64),
            sform_code=0 if "sform_code" in odd else codes["sform_code"],
            qform_code=0 if "qform_code" in odd else codes["qform_code"],
            qfac=float(pixdim[0]),
            pixdim=pixdim[1:4],
            turned=any(float(header[name]) for name in _QUATERNION),
            unit=int(raw["xyzt_units"]) & _SPATIAL_BITS,
            told=tuple(f"{name} {codes[name]} is none of NIfTI's: it counts as 0" for name in odd),
            impossible=impossible,
        )

    def affine(self, sides: tuple[int, ...]) -> tuple[np.ndarray, int, tuple[str, ...]]:
        """Return the affine [4, 4] that is used, its code, and warnings; the sform wins over the qform.

        Args:
            sides: Voxels along each axis [3].

        Raises:
            ScanError: No scan can lie like that, or the header contradicts itself and nothing says what is right.
            ValueError: What is needed has an impossible value.
        """
        if self.sform_code:
            affine = self.sform
        else:
            self._check_voxel_size()
            if self.qform_code and self.qform is None:
                raise ValueError(self.impossible)
            affine = self.base if self.qform is None or not self.qform_code else self.qform
        told = (*self.told, *self._unit_warnings(affine))
        check_affine(self.path, affine)
        if self.sform_code:
            told += tuple(self._scale_warnings())
        if not (self.sform_code or self.qform_code):
            return affine, 0, (*told, "neither sform nor qform is set: left and right are unknown")
        return (
            affine,
            self.sform_code or self.qform_code,
            (*told, *affine_warnings(affine, sides), *self._disagreement(sides)),
        )

    def _disagreement(self, sides: tuple[int, ...]) -> tuple[str, ...]:
        """Hold the form that is used against the other one, also where that is filled in but not set."""
        if self.sform_code and self.qform_code:
            if self.qform is None or not np.isfinite(self.qform).all():
                return ("the qform is invalid; the sform is used",)
            apart = disagreement(self.sform, self.qform, sides)
            return (f"qform and sform disagree ({apart}); the sform is used",) if apart else ()
        if self.sform_code:
            return self._unset_qform()
        return self._unset_sform() if self.qform_code else ()

    def _unset_qform(self) -> tuple[str, ...]:
        """Hold the sform against what is left in the fields of a qform that is not set."""
        if self.turned:
            return _other_axes(self.sform, self.qform, "sform", "qform")
        if self.qfac == -1 and np.linalg.det(self.sform[:3, :3]) > 0:
            return ("pixdim[0] is -1, as of left-handed axes; the sform, which is used, has right-handed ones",)
        return ()

    def _unset_sform(self) -> tuple[str, ...]:
        """Hold the qform against what is left in the fields of an sform that is not set."""
        assert self.qform is not None, "it is set, and has been used"
        if turned := _other_axes(self.qform, self.sform, "qform", "sform"):
            return turned
        ours, theirs = spacing_of(self.qform), spacing_of(self.sform)
        if not np.linalg.det(self.sform[:3, :3]) or np.abs(theirs / ours - 1).max() <= MAX_SCALE_ERROR:
            return ()
        told = f"the sform, filled in but not set, has voxels of {by_sides(theirs)} mm"
        return (f"{told}, the qform, which is used, of {by_sides(ours)} mm",)

    def _check_voxel_size(self) -> None:
        """Refuse a voxel size that only pixdim tells and that is none, in whose place nibabel would take another."""
        if not (np.isfinite(self.pixdim) & (self.pixdim > 0)).all():
            told = ", ".join(f"{n:g}" for n in self.pixdim)
            raise ValueError(f"its voxel size, pixdim[1..3], is {told}")

    def _scale_warnings(self) -> Iterator[str]:
        """Hold pixdim against the sform's voxel size; where no qform was meant, nothing says which of them is right."""
        spacing, told = spacing_of(self.sform), np.abs(self.pixdim)
        known = np.isfinite(told) & (told > 0)  # 0 is what writers leave that do not say
        error = float(np.abs(told[known] / spacing[known] - 1).max(initial=0))
        if error <= SCALE_ROUNDING:
            return
        ours, theirs = by_sides(spacing), by_sides(told)
        if error > MAX_SCALE_ERROR and not self.qform_code:
            raise ScanError(
                f"{self.path} contradicts itself: its sform has voxels of {ours} mm, its pixdim of {theirs} mm. If the "
                "sform is right, set the qform by it (in nibabel image.set_qform(image.affine), which sets pixdim "
                "too); if pixdim is, set the sform anew."
            )
        yield f"the sform has voxels of {ours} mm, pixdim of {theirs} mm; the sform is used"

    def _unit_warnings(self, affine: np.ndarray) -> Iterator[str]:
        """Hold the unit that the header names against what a voxel can measure."""
        if self.unit not in _UNITS:
            return
        name, to_mm = _UNITS[self.unit]
        low, high = SPACING_RANGE_MM
        spacing_mm = spacing_of(affine) * to_mm
        if ((low <= spacing_mm) & (spacing_mm <= high)).all():
            raise ScanError(f"{self.path} has its affine in {name} (xyzt_units). Write it in millimetres.")
        yield f"xyzt_units says {name}, which its affine cannot be in: it is taken for millimetres"


def _other_axes(used: np.ndarray, other: np.ndarray | None, name: str, its: str) -> tuple[str, ...]:
    """Warn where a form that is filled in but not set has its axes in another order or turned round."""
    if other is None or not np.isfinite(other).all() or not np.linalg.det(other[:3, :3]):
        return ()
    ours, theirs = ("".join(map(str, aff2axcodes(affine))) for affine in (used, other))
    if ours == theirs:
        return ()
    return (f"the {its}, filled in but not set, has axes {theirs}, the {name}, which is used, {ours}",)


def _qform(header: Any) -> tuple[np.ndarray | None, str]:  # noqa: ANN401
    """Return the qform [4, 4], or why there is none; a quaternion that is too long by rounding is shortened.

    NIfTI's own code shortens any.
    """
    try:
        return np.array(header.get_qform(), np.float64), ""
    except (HeaderDataError, ValueError):
        length = float(np.linalg.norm([float(header[name]) for name in _QUATERNION]))
    if not 1 < length**2 <= 1 + MAX_QUATERNION_EXCESS:
        return None, f"the quaternion of its qform has the length {length:.6g}, more than 1"
    shorter = header.copy()
    for name in _QUATERNION:
        shorter[name] = float(header[name]) / length
    return np.array(shorter.get_qform(), np.float64), ""
