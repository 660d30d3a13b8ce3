"""The viewer of scans in a page: slices and a rendering that can be moved, with the heatmap on top.

NiiVue draws; `viewer.js` has the controls. Everything is inside the page, and its policy allows these two scripts by
their digests and nothing else: no network, no `eval`.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np
from matplotlib.colors import to_hex

from mri3d.errors import UserError
from mri3d.report.elements import Html, Script, Scripted, details, element, script_digest, tag
from mri3d.report.embedded_volume import EmbeddedVolumes
from mri3d.report.niivue import NIIVUE_LICENCE, NIIVUE_VERSION, niivue_code, niivue_licences, packed_niivue
from mri3d.report.picture import AGAINST_AND_FOR

Shown = Literal["heads", "brains"]
"""What scans are of: whole heads have faces, and brains have none."""

_LEVELS = 127  # of a heatmap on each side of 0, each with a colour
_HIDDEN = "The viewer needs JavaScript and WebGL 2, and one of them is not to be had here: the scans are not shown."
_PRINTED = "In print the viewer is left out: open this page in a browser."
_HOW = (
    "Click or tap a slice to move the crosshair; then arrow keys, Page Up, Page Down and the wheel move it on. "
    "L and R mark the person's own left and right."
)
_TURN = " Drag the rendering to turn it, or press Shift and an arrow key."
_NO_FACES = (
    "The viewer has slices only, since a rendering of a whole head shows a face; report.faces=true allows it. The "
    "scans in this page are coarse but complete, so a face can be made of them all the same: hand it on as you would "
    "the scans."
)
_FACES = "Renderings of whole heads show faces: hand this page on as you would the scans."
_PLANES = (("axial", "Axial"), ("coronal", "Coronal"), ("sagittal", "Sagittal"))
_SIDES = (("left", "Left"), ("right", "Right"), ("front", "Front"), ("back", "Back"), ("top", "Top"))


@dataclass(frozen=True)
class ViewedScan:
    """A scan that can be chosen in a viewer.

    Attributes:
        name: In the list; an element with `data-view` of this name chooses it too, see `view_button`.
        volumes: The head and its heatmap, see `embedded_volume.embed`.
        high: What positive values of the heatmap mean.
        low: What negative values mean; "none" stands there where there are no negative ones.
        caption: What to know about it.
    """

    name: str
    volumes: EmbeddedVolumes
    high: str = "for"
    low: str = "against"
    caption: str = ""


def viewer_section(scans: Sequence[ViewedScan], *, shows: Shown, faces: bool = False) -> list[Html]:
    """Show scans in a viewer: a section of a page, for `elements.write_page`.

    A page grows by half a megabyte, and by up to `embedded_volume.MAX_BYTES` for each scan.

    Args:
        scans: In the order of the list; the first one is shown first. Without any there is no section.
        shows: What the scans are of.
        faces: Whether whole heads may be rendered, so that their faces can be seen.
    """
    if not scans:
        return []
    title, renders = element("h2", "Scans in 3D"), shows == "brains" or faces
    try:
        script = _script()
    except UserError as error:  # another nilearn is installed, which is not worth a finished training
        return [title, element("p", f"There is no viewer in this page: {error}", css="caution")]
    section = [title, Scripted(_viewer(scans, renders), script)]
    if shows == "heads":
        section.append(element("p", _FACES if faces else _NO_FACES, css="viewer-screen"))
    about = f"Shown by NiiVue {NIIVUE_VERSION} (licence {NIIVUE_LICENCE})"
    return [*section, details(about, element("pre", niivue_licences()))]


def view_button(name: str, text: str = "View in 3D") -> Html:
    """Make a button that shows a scan in the page's viewer; it is hidden where no viewer works."""
    return tag("button", text, type="button", data_view=name, aria_label=f"{text}: {name}", hidden="")


@functools.cache
def _script() -> Script:
    """Return what viewers need once in a page."""
    code, style = ((files("mri3d.report") / name).read_text(encoding="utf-8") for name in ("viewer.js", "viewer.css"))
    data = tag("script", Html(packed_niivue()), type="text/plain", id="niivue")
    return Script(code, style, data, (script_digest(niivue_code()),))


def _viewer(scans: Sequence[ViewedScan], renders: bool) -> Html:
    """Lay out the controls, which stay hidden until the script works, and what they show."""
    written = [
        dataclasses.asdict(scan.volumes) | {"high": scan.high, "low": scan.low, "caption": scan.caption}
        for scan in scans
    ]
    data = {"renders": renders, "colours": _colours(), "scans": written}
    views = [("all", "All views"), ("render", "Rendering")] if renders else [("all", "All slices")]
    choices = [
        _choice("Scan", "scan", [(str(number), scan.name) for number, scan in enumerate(scans)]),
        _choice("View", "view", [*views, *_PLANES]),
        tag("button", "Go to the heatmap's peak", type="button", data_control="peak"),
    ]
    sliders = [_slider("Heatmap opacity", "opacity", 90), _slider("Heatmap threshold", "threshold", 10)]
    if renders:
        sliders += [_choice("Cut away from", "side", _SIDES), _slider("Depth of the cut", "cut", 0)]
        sliders.append(_slider("Turn the rendering", "turn", 110, highest=360, step=5, unit="°"))
    canvas = tag("canvas", tabindex="0", role="application", aria_label="Slices" + " and rendering" * renders)
    panel = tag(
        "div",
        element("div", *choices, css="viewer-bar"),
        element("div", canvas, css="viewer-stage" if renders else "viewer-stage viewer-slices"),
        tag("output", class_="viewer-place"),
        _legend(),
        element("div", *sliders, css="viewer-bar"),
        tag("p", class_="viewer-caption"),
        element("p", _HOW + _TURN * renders, css="viewer-how"),
        class_="viewer-panel",
        hidden="",
    )
    return element(
        "div",
        tag("p", _HIDDEN, class_="viewer-note", role="status"),
        panel,
        element("p", _PRINTED, css="viewer-print"),
        tag("script", _json(data), type="application/json"),
        css="viewer",
    )


def _legend() -> Html:
    """Show what the colours mean: the script fills in the words of the scan that is shown."""
    stops = [to_hex(AGAINST_AND_FOR(share)) for share in np.linspace(0, 1, 7)]
    ramps = [
        tag("span", class_="viewer-ramp", data_signed=signed, style=f"--ramp: {', '.join(colours)}")
        for signed, colours in (("true", stops), ("false", stops[3:]))
    ]
    words = [tag("bdi", data_word=word) for word in ("low", "high")]
    return element("p", words[0], *ramps, words[1], css="viewer-legend")


def _choice(label: str, control: str, options: Sequence[tuple[str, str]]) -> Html:
    """Make a list to choose from: values, and texts."""
    listed = [tag("option", text, value=value, dir="auto") for value, text in options]
    return element("label", label, tag("select", *listed, data_control=control))


def _slider(
    label: str, control: str, value: int, *, highest: int = 100, step: int = 1, unit: str = "\N{NO-BREAK SPACE}%"
) -> Html:
    """Make a slider from 0 upwards, its value beside its name."""
    ends = {"min": "0", "max": str(highest), "step": str(step), "value": str(value)}
    slider = tag("input", type="range", **ends, data_control=control, data_unit=unit)
    shown = tag("b", f"{value}{unit}", aria_hidden="true")  # which is told as the value of the slider already
    return element("label", element("span", f"{label} ", shown), slider)


def _colours() -> str:
    """Write the colour of each level of a heatmap, from the most negative to the most positive, as rrggbb."""
    return "".join(to_hex(AGAINST_AND_FOR(share))[1:] for share in np.linspace(0, 1, 2 * _LEVELS + 1))


def _json(value: object) -> Html:
    """Write JSON that no browser takes for HTML, whatever the texts in it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
