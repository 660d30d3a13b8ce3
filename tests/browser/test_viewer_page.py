"""The viewer in Chromium: it shows what is there, where it is, to whoever looks, and asks nothing of the network."""

import json
import re

import numpy as np
import pytest

from mri3d.report.elements import element, write_page
from mri3d.report.viewer import view_button, viewer_section
from tests.report.test_viewer import AWKWARD
from tests.report.viewed import PEAK, scan, world

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)
SHOWN = "document.querySelector('.viewer').dataset.shown === '{}'"
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
CONTROLS = ("scan", "view", "peak", "opacity", "threshold", "side", "cut", "turn")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses: `brains`, of scans in three stored orders and a hostile one; `heads`, without faces."""
    folder = tmp_path_factory.mktemp("pages")
    scans = [scan(), scan("LIA", name="lia"), scan("PSR", name="psr"), scan(name=AWKWARD, caption=AWKWARD)]
    scans.append(scan(name="plain", heatmap=False))
    buttons = element("p", *(view_button(name) for name in ("lia", AWKWARD, "unknown")))
    for name, shows in (("brains", "brains"), ("heads", "heads")):
        section = viewer_section(scans, shows=shows)
        write_page(folder / f"{name}.html", title=name, sections=[element("h1", name), buttons, *section])
    return {path.stem: path.as_uri() for path in folder.glob("*.html")}


def show(chromium, address, **window):
    """Open a page and wait for its first scan."""
    chromium.open(address, **({"width": 1280} | window))
    chromium.evaluate("document.querySelector('.viewer').scrollIntoView()")
    chromium.wait(SHOWN.format(0))


def put(chromium, control, value, event="input"):
    """Set a control as a user does, and wait until that is drawn."""
    chosen = f"document.querySelector('[data-control={control}]')"
    chromium.evaluate(f"{chosen}.value = {json.dumps(value)}; {chosen}.dispatchEvent(new Event('{event}'))")
    chromium.evaluate(FRAMES)


def choose(chromium, number):
    put(chromium, "scan", str(number), "change")
    chromium.wait(SHOWN.format(number))


def text(chromium, name):
    return chromium.evaluate(f"document.querySelector('.viewer-{name}').textContent")


def stage(chromium):
    """What the viewer draws [rows, columns, RGB]."""
    return chromium.screenshot(".viewer-stage").astype(int)


def warm(image):
    return (image[..., 0] > 110) & (image[..., 0] > image[..., 2] + 60)


def cool(image):
    return (image[..., 2] > 110) & (image[..., 2] > image[..., 0] + 60) & (image[..., 2] > image[..., 1] + 20)


def center(mask):
    """Where the pixels of a mask lie, as shares of its height and width."""
    return np.argwhere(mask).mean(axis=0) / mask.shape


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_fails_and_nothing_leaves_the_page(chromium, pages, width):
    show(chromium, pages["brains"], width=width, touch=width < 500)
    image = stage(chromium)
    assert (image.max(axis=-1) > 60).mean() > 0.15
    assert warm(image).sum() > 100
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.errors == []
    elsewhere = [url for url in chromium.requests if url != pages["brains"] and not url.startswith(("data:", "blob:"))]
    assert elsewhere == []
    assert pages["brains"] in chromium.requests


def test_the_policy_lets_nothing_else_run(chromium, pages):
    show(chromium, pages["brains"])
    chromium.evaluate("document.head.append(Object.assign(document.createElement('script'), {textContent: 'hit = 1'}))")
    assert chromium.evaluate("typeof hit") == "undefined"
    for address in ("data:,x", pages["heads"], "https://127.0.0.1:9/"):
        assert chromium.evaluate(f"fetch('{address}').then(() => 'came', () => 'refused')") == "refused"
    assert chromium.evaluate("try { eval('1') } catch (error) { error.name }") == "EvalError"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_evidence_lies_where_it_is_in_every_stored_order(chromium, pages, number):
    show(chromium, pages["brains"])
    choose(chromium, number)
    found = re.match(
        r"Crosshair: ([\d.]+) mm (\w+), ([\d.]+) mm (\w+), ([\d.]+) mm (\w+)\. "
        r"Heatmap there: 100 % of the strongest\.$",
        text(chromium, "place"),
    )
    ends = {"right": 1, "left": -1, "anterior": 1, "posterior": -1, "superior": 1, "inferior": -1}
    position = [float(found[place]) * ends[found[place + 1]] for place in (1, 3, 5)]
    np.testing.assert_allclose(position, world(PEAK), atol=2.0)  # half a small voxel
    put(chromium, "view", "axial", "change")
    row, column = center(warm(stage(chromium)))
    assert row < 0.45, "anterior is up"
    assert column < 0.48, "the person's left is on the left, as L says"
    chromium.evaluate("document.querySelector('canvas').focus()")
    for _ in range(3):
        chromium.press("PageUp")  # to the slice of the evidence against
    row, column = center(cool(stage(chromium)))
    assert row > 0.55
    assert column > 0.52


def test_threshold_and_opacity_hide_the_heatmap(chromium, pages):
    show(chromium, pages["brains"])
    put(chromium, "view", "all", "change")
    full = warm(stage(chromium)).sum()
    assert full > 100
    for control, value in (("threshold", 60), ("threshold", 100), ("opacity", 0)):
        put(chromium, "threshold", 10)
        put(chromium, control, value)
        left = warm(stage(chromium)).sum()
        assert (0 < left < full) if value == 60 else left == 0
    put(chromium, "opacity", 90)
    assert warm(stage(chromium)).sum() == full


def test_the_rendering_is_cut_and_turned(chromium, pages):
    show(chromium, pages["brains"])
    put(chromium, "view", "render", "change")
    whole = stage(chromium)
    put(chromium, "cut", 50)
    cut = stage(chromium)
    assert np.abs(cut - whole).mean() > 3
    put(chromium, "side", "top")
    assert np.abs(stage(chromium) - cut).mean() > 3
    put(chromium, "cut", 0)
    put(chromium, "turn", 250)
    assert np.abs(stage(chromium) - whole).mean() > 3


def test_another_scan_is_chosen_by_list_and_button(chromium, pages):
    show(chromium, pages["brains"])
    first = stage(chromium)
    hidden = "[...document.querySelectorAll('[data-view]')].map(button => button.hidden)"
    assert chromium.evaluate(hidden) == [False, False, True]
    chromium.evaluate("document.querySelectorAll('[data-view]')[1].click()")
    chromium.wait(SHOWN.format(3))
    assert text(chromium, "caption") == AWKWARD
    assert chromium.evaluate("document.querySelector('[data-control=scan]').selectedOptions[0].textContent") == AWKWARD
    choose(chromium, 4)
    plain = stage(chromium)
    assert warm(first).sum() > 100
    assert warm(plain).sum() == 0
    assert chromium.evaluate("document.querySelector('[data-control=threshold]').disabled")
    assert "Heatmap" not in text(chromium, "place")
    choose(chromium, 0)
    np.testing.assert_allclose(stage(chromium), first, atol=40)
    assert chromium.errors == []


def test_what_is_chosen_while_scans_are_unpacked_holds(chromium, pages):
    chromium.open(pages["brains"], width=1280)
    put(chromium, "scan", "2", "change")
    put(chromium, "view", "axial", "change")
    put(chromium, "threshold", 100)
    chromium.evaluate("document.querySelector('.viewer').scrollIntoView()")
    chromium.wait(SHOWN.format(2))
    image = stage(chromium)
    assert warm(image).sum() == 0
    middle = image[:, 490:510]  # one slice lies in the middle of the viewer, and nothing beside it
    assert (middle.max(axis=-1) > 150).mean() > 0.5
    assert (image[:, :200].max(axis=-1) > 150).mean() < 0.02
    assert chromium.errors == []


def test_everything_is_reached_and_moved_by_keyboard(chromium, pages):
    show(chromium, pages["brains"])
    chromium.evaluate("document.querySelector('[data-view]').focus()")
    reached = []
    for _ in range(20):
        chromium.press("Tab")
        reached.append(chromium.evaluate("(here => here.dataset.control ?? here.tagName)(document.activeElement)"))
    assert [name for name in reached if name in CONTROLS or name == "CANVAS"][:9] == [
        *CONTROLS[:3],
        "CANVAS",
        *CONTROLS[3:],
    ]
    chromium.evaluate("document.querySelector('canvas').focus()")
    told = [text(chromium, "place")]
    for key in ("ArrowLeft", "ArrowUp", "PageDown"):
        chromium.press(key)
        told.append(text(chromium, "place"))
    assert len(set(told)) == 4
    before = chromium.evaluate("document.querySelector('[data-control=turn]').value")
    chromium.press("ArrowRight", shift=True)
    assert text(chromium, "place") == told[-1]
    assert chromium.evaluate("document.querySelector('[data-control=turn]').value") == str(int(before) + 5)
    chromium.evaluate("document.querySelector('[data-control=opacity]').focus()")
    chromium.press("ArrowLeft")
    assert chromium.evaluate("document.querySelector('[data-control=opacity]').value") == "89"


@pytest.mark.parametrize("touch", [False, True])
def test_the_wheel_is_the_page_s_until_a_slice_is_chosen(chromium, pages, touch):
    show(chromium, pages["heads"], width=390 if touch else 1280, touch=touch)
    chromium.evaluate("scrollTo(0, 0)")
    chromium.evaluate(FRAMES)
    place = chromium.evaluate(
        "(box => [box.x + 60, box.y + 90])(document.querySelector('canvas').getBoundingClientRect())"
    )
    before = text(chromium, "place")
    chromium.scroll(*place, down=100)
    chromium.wait("scrollY > 0")
    assert text(chromium, "place") == before
    place[1] -= chromium.evaluate("scrollY")
    (chromium.tap if touch else chromium.click)(*place)
    chromium.wait("document.activeElement === document.querySelector('canvas')")
    chosen, scrolled = text(chromium, "place"), chromium.evaluate("scrollY")
    assert chosen != before
    chromium.scroll(*place, down=100)
    chromium.wait(f"document.querySelector('.viewer-place').textContent !== {json.dumps(chosen)}")
    assert chromium.evaluate("scrollY") == scrolled


def test_a_head_without_a_face_is_never_rendered(chromium, pages):
    show(chromium, pages["heads"])
    chromium.evaluate("document.querySelector('canvas').focus()")
    before = stage(chromium)
    for _ in range(5):  # by this key NiiVue goes on to its next view, the rendering
        chromium.press("v")
    inside = np.s_[8:-8, 8:-8]  # around it is the mark of what has the focus
    np.testing.assert_array_equal(stage(chromium)[inside], before[inside])
    assert chromium.evaluate("document.querySelector('[data-control=view]').options.length") == 4


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_axe_finds_nothing_serious(chromium, pages, axe, width, dark):
    show(chromium, pages["brains"], width=width, dark=dark)
    chromium.evaluate(axe + "; 0")
    found = json.loads(chromium.evaluate("axe.run({preload: false}).then(JSON.stringify)"))
    assert len(found["passes"]) > 15
    bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in bad] == []


def test_print_leaves_the_viewer_out(chromium, pages):
    show(chromium, pages["heads"])
    chromium.send("Emulation.setEmulatedMedia", media="print")
    displayed = "getComputedStyle(document.querySelector('.viewer-{}')).display"
    assert [chromium.evaluate(displayed.format(name)) for name in ("panel", "print", "screen")] == [
        "none",
        "block",
        "none",
    ]


@pytest.mark.parametrize("missing", ["JavaScript", "WebGL 2", "DecompressionStream"])
def test_without_what_it_needs_the_viewer_says_so(chromium, pages, missing):
    code = {
        "JavaScript": "",
        "WebGL 2": "HTMLCanvasElement.prototype.getContext = () => null",
        "DecompressionStream": "delete window.DecompressionStream",
    }[missing]
    added = chromium.send("Page.addScriptToEvaluateOnNewDocument", source=code)["identifier"]
    chromium.send("Emulation.setScriptExecutionDisabled", value=not code)
    try:
        chromium.open(pages["brains"], width=1280)
        seen = chromium.evaluate("document.body.innerText")
    finally:
        chromium.send("Emulation.setScriptExecutionDisabled", value=False)
        chromium.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added)
    assert "The viewer needs JavaScript and WebGL 2" in seen
    assert "Heatmap threshold" not in seen
    assert "View in 3D" not in seen
    assert chromium.errors == []
