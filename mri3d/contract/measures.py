"""What a contract measures of a scan: how a difference counts, and what people are told of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mri3d.contract.outlier_model import Unlikeness
from mri3d.scans.traits import Traits

SMALLEST = 1e-4  # of what a logarithm is taken of


@dataclass(frozen=True)
class Measure:
    """One measure of a scan.

    Attributes:
        name: For machines.
        above: What is said of a scan that has more than the training scans; `{value}` stands for the number.
        below: What is said of one that has less.
        floor: Spread that the measure has at least from scan to scan, however alike the training scans are: a share
            where `relative`, else in its unit.
        weight: How much a difference counts towards a scan being outside; what depends on the scanner alone, and leaves
            the head what it is, counts less.
        relative: Whether factors count, and not differences.
        above_only: Whether less than the training scans have is no fault.
        unit: Of the numbers that are told.
        factor: Of the numbers that are told.
    """

    name: str
    above: str
    below: str
    floor: float
    weight: float = 1.0
    relative: bool = False
    above_only: bool = False
    unit: str = ""
    factor: float = 1.0

    @property
    def group(self) -> str:
        """What measures have in common of which one is enough to tell people of."""
        return self.name.partition("_")[0]

    def scaled(self, value: float) -> float:
        """Return a value as differences of it are judged."""
        return math.log(max(value, SMALLEST)) if self.relative else value

    def told(self, value: float, low: float, high: float) -> str:
        """Describe a value that differs from those of the training scans, most of which lie between two others."""
        texts = [_text(number * self.factor) for number in (value, low, high)]
        known = texts[1] if texts[1] == texts[2] else f"{texts[1]} to {texts[2]}"
        said = self.below if value < low else self.above
        return f"{said.format(value=texts[0] + self.unit)} (training scans: {known}{self.unit})"


_WAYS = ("from left to right", "from back to front", "from bottom to top")
_SIDES = ("left", "right", "back", "front", "bottom", "top")
_OBLIQUE = "its header turns the grid by {value} away from right, front and top"
_CONTRAST = "its contrast is another: {part} of the tissue has {{value}} times the median intensity"
_DARK = "{value} of the box around the head is dark: another contrast, other noise or another body part"
_SIZE = "the head measures {value}: check the voxel size, and whether it is whole"
_ERROR = (
    "its preprocessed image is unlike every training scan's (turned, cut off, of another contrast or another body "
    "part?): {value} of it is not what they have in common"
)
_DISTANCE = (
    "its preprocessed image lies {value} from the average of the training scans (root mean square over their principal "
    "components)"
)
_TURNED = "the head is turned by {value} about"

OF_SCANS: tuple[Measure, ...] = (
    # 3 % is what spacings in headers of one protocol differ by. Sizes of heads show whether a voxel size is wrong.
    *(
        Measure(f"spacing_{axis}", text, text, 0.03, 0.0, relative=True, unit=" mm")
        for axis, text in zip("ras", [f"its voxels measure {{value}} {way}" for way in _WAYS], strict=True)
    ),
    *(
        Measure(f"box_{axis}", text, text, 0.03, relative=True, unit=" mm")
        for axis, text in zip("ras", [f"the head measures {{value}} {way}" for way in _WAYS], strict=True)
    ),
    Measure("head_ml", _SIZE, _SIZE, 0.05, relative=True, unit=" ml"),
    Measure("oblique", _OBLIQUE, _OBLIQUE, 2.0, 0.0, above_only=True, unit=" degrees"),
    *(
        Measure(f"cut_{side}", text, text, 0.05, above_only=side != "bottom", unit=" %", factor=100)
        for side, text in zip(
            _SIDES,
            [
                f"where the scan ends at the {side}, {{value}} of the head's outermost plane is tissue"
                for side in _SIDES
            ],
            strict=True,
        )
    ),
    Measure(
        "sharpness",
        "it is sharper or noisier: fine structure {value}",
        "it is more blurred: fine structure {value}",
        0.04,
        0.25,
        relative=True,
    ),
    Measure(
        "noise",
        "it is noisier: {value} of the contrast",
        "it has less noise: {value} of the contrast, as after smoothing",
        0.15,
        0.0,
        relative=True,
        unit=" %",
        factor=100,
    ),
    *(
        Measure(f"tissue_{percent}", text, text, 0.03, 0.5)
        for percent, text in zip(
            (5, 25, 75, 95),
            [
                _CONTRAST.format(part=part)
                for part in (
                    "the darkest twentieth",
                    "the darkest quarter",
                    "the brightest quarter",
                    "the brightest 5 %",
                )
            ],
            strict=True,
        )
    ),
    Measure("dark", _DARK, _DARK, 0.03, unit=" %", factor=100),
)
"""What is measured of a scan on its own grid."""

COUNTED: Mapping[str, tuple[Measure, ...]] = {
    "heads": OF_SCANS,
    "brains": tuple(measure for measure in OF_SCANS if measure.name in ("sharpness", "noise")),
    "anything": (),
}
"""Which of them count, by what volumes show: extraction and alignment take away what the others tell of."""

OF_VOLUMES: tuple[Measure, ...] = (
    Measure("error", _ERROR, _ERROR, 0.15, relative=True, above_only=True, unit=" %", factor=100),
    Measure("distance", _DISTANCE, _DISTANCE, 0.15, relative=True, above_only=True, unit=" SD"),
)
"""What is measured of a preprocessed volume, beside how it is turned."""

TURNED: tuple[Measure, ...] = tuple(
    Measure(f"turned_{number}", text, text, 3.0, 0.75, unit=" degrees")
    for number, text in enumerate(f"{_TURNED} axis {number + 1} of the preprocessed image" for number in range(3))
)
"""How a volume is turned about its axes."""

TURNED_RAS: tuple[Measure, ...] = tuple(
    Measure(f"turned_{axis}", text, text, 3.0, 0.75, unit=" degrees")
    for axis, text in zip("ras", [f"{_TURNED} the axis {way}" for way in _WAYS], strict=True)
)
"""The same where the axes of volumes are R, A, S."""

_BY_NAME = {measure.name: measure for measure in (*OF_SCANS, *OF_VOLUMES, *TURNED, *TURNED_RAS)}


def measures_of(names: Sequence[str]) -> tuple[Measure, ...]:
    """Return measures by their names.

    Raises:
        KeyError: There is none of a name.
    """
    return tuple(_BY_NAME[name] for name in names)


def values_of(traits: Traits | None, unlike: Unlikeness | None) -> Mapping[str, float]:
    """Return the value of each measure that can be had, by name."""
    found: list[tuple[Measure, float]] = []
    if traits is not None:
        values = [*traits.spacing_mm, *traits.box_mm, traits.head_ml, traits.oblique_deg, *traits.cut]
        values += [traits.sharpness, traits.noise, *traits.quantiles, traits.dark]
        found += zip(OF_SCANS, values, strict=True)
    if unlike is not None:
        found += zip(OF_VOLUMES, (unlike.error, unlike.distance), strict=True)
        found += [*zip(TURNED, unlike.turned_deg, strict=True), *zip(TURNED_RAS, unlike.turned_deg, strict=True)]
    return {measure.name: value for measure, value in found}


def _text(number: float) -> str:
    """Write a number with three digits.

    >>> _text(3104.2), _text(-20.77), _text(1.5)
    ('3,104', '-20.8', '1.5')
    """
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
