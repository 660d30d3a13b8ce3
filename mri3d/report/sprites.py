"""Tiles: small pictures of very many scans, which travel in a page as parts of few images.

A picture that occurs in a page several times is in it once, and what is not in sight need not be decoded.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from mri3d.report.elements import Html, tag
from mri3d.report.figures import CanonicalHead, HeadView

_EDGE = 64  # pixels of each of the three planes of a tile
_ROWS = 32  # tiles of an image: taller ones are too large for some graphics
_QUALITY = 75

_STYLE = """.tile { display: block; aspect-ratio: 3; border-radius: 4px; background: #000 no-repeat;
  background-size: 100% calc(100% * var(--of)); background-position: 0 calc(100% * var(--row) / max(1, var(--of) - 1));
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
"""


@dataclass(frozen=True)
class Tile:
    """A small picture of a scan; those of equal pixels are one.

    Attributes:
        pixels: Red, green and blue of 64 rows of 192 pixels, one byte each.
        heatmap: Whether there is a heatmap on the scan.
    """

    pixels: bytes
    heatmap: bool

    def __post_init__(self) -> None:
        assert len(self.pixels) == 9 * _EDGE**2


def tile(head: HeadView) -> Tile:
    """Draw a sagittal, a coronal and an axial plane beside each other, without any text.

    As in larger pictures the head is cut to its bounding box, and the planes meet at the peak of the heatmap, else in
    the middle of the head.

    Args:
        head: The head; its outline, title and words are left out.
    """
    view, canvas = CanonicalHead.of(head), Image.new("RGB", (3 * _EDGE, _EDGE))
    for axis in range(3):
        shown, colours = view.colours(axis)
        if colours is not None:
            opacity = colours[..., 3:]
            shown = shown * (1 - opacity) + colours[..., :3] * opacity
        scaled = np.round(view.plane_mm(axis) / view.size_mm.max() * _EDGE).astype(int)
        image = Image.fromarray(np.round(shown[::-1] * 255).astype(np.uint8))
        image = image.resize(np.maximum(scaled, 1).tolist(), Image.Resampling.BILINEAR)
        canvas.paste(image, (axis * _EDGE + (_EDGE - image.width) // 2, (_EDGE - image.height) // 2))
    return Tile(canvas.tobytes(), heatmap=view.heatmap is not None)


@dataclass(frozen=True, eq=False)
class Sprites:
    """The images of a page's tiles: `style` goes into the page once, and `show` makes an element for each place.

    Attributes:
        places: Of each tile: number of its image, and row in it.
    """

    places: Mapping[Tile, tuple[int, int]]

    @classmethod
    def of(cls, tiles: Iterable[Tile]) -> "Sprites":
        """Give tiles their places, in the order in which they occur first: what is seen together lies together."""
        return cls({each: divmod(number, _ROWS) for number, each in enumerate(dict.fromkeys(tiles))})

    def style(self) -> str:
        """Write the images as CSS."""
        tiles, rules = list(self.places), [_STYLE]
        for first in range(0, len(tiles), _ROWS):
            part = tiles[first : first + _ROWS]
            image = Image.frombytes("RGB", (3 * _EDGE, _EDGE * len(part)), b"".join(each.pixels for each in part))
            buffer = io.BytesIO()
            image.save(buffer, "jpeg", quality=_QUALITY, optimize=True)
            data = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
            rules.append(f".tile-{first // _ROWS} {{ --of: {len(part)}; background-image: url({data}); }}\n")
        return "".join(rules)

    def show(self, tile: Tile, alt: str) -> Html:
        """Show a tile; `alt` is what a person who cannot see it should know."""
        image, row = self.places[tile]
        return tag("span", class_=f"tile tile-{image}", style=f"--row:{row}", role="img", aria_label=alt)
