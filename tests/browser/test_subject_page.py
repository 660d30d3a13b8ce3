"""The table of tested subjects in Chromium: sorted and narrowed down by mouse and keyboard, and soon there."""

import base64
import json

import pytest

from mri3d.report.viewer import viewer_section
from tests.report.test_viewer import AWKWARD
from tests.report.tested import LABELS, ORDER, subject, subjects, tiles, write
from tests.report.viewed import scan

pytestmark = pytest.mark.slow

WIDTHS = (1200, 390)
NUM_SUBJECTS = 1113
NAMES = "[...document.querySelectorAll('tbody tr:not([hidden]) .name bdi')].map(name => name.textContent)"
FOCUSED = "document.activeElement.dataset.filter ?? document.activeElement.textContent"
HEADER = "[...document.querySelectorAll('thead th')].find(header => header.textContent === {})"
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
FALLING = ["s11", "s10", "s9", "s8", "s7", "s6", "s5", AWKWARD, "s3", "s1", "s0", "s2"]  # by <b>P</b>, unknown of s2


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses: `few` subjects; `viewed`, with a viewer that has one of them; `many`."""
    folder, drawn = tmp_path_factory.mktemp("pages"), tiles(2 * NUM_SUBJECTS)
    write(folder / "few.html", subjects())
    write(folder / "viewed.html", subjects(), more=viewer_section([scan(name=AWKWARD)], shows="brains"))
    many = [
        subject(
            number,
            pictures=[drawn[number], *(drawn[(place * number) % NUM_SUBJECTS - NUM_SUBJECTS] for place in (2, 3, 5))],
        )
        for number in range(NUM_SUBJECTS)
    ]
    write(folder / "many.html", many)
    return {path.stem: path for path in folder.glob("*.html")}


def show(chromium, pages, name="few", **window):
    chromium.open(pages[name].as_uri(), **({"width": 1200} | window))


def sort_of(chromium, title):
    return chromium.evaluate(f"{HEADER.format(json.dumps(title))}.ariaSort")


def click(chromium, title):
    """Click on the button in a header."""
    button = f"{HEADER.format(json.dumps(title))}.querySelector('button')"
    x, y = chromium.evaluate(
        f"(box => [box.x + box.width / 2, box.y + box.height / 2])({button}.getBoundingClientRect())"
    )
    chromium.click(x, y)


def choose(chromium, name, value):
    """Set a filter as a user does."""
    filter_ = f"document.querySelector('[data-filter={name}]')"
    chromium.evaluate(f"{filter_}.value = {json.dumps(value)}; {filter_}.dispatchEvent(new Event('input'))")


def told(chromium):
    return chromium.evaluate("document.querySelector('output').textContent")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_fails_and_nothing_leaves_the_page(chromium, pages, width):
    show(chromium, pages, width=width, touch=width < 500)
    image = chromium.screenshot("tbody .tile").astype(int)
    assert ((image[..., 0] > 110) & (image[..., 0] > image[..., 2] + 60)).sum() > 20, "no evidence is to be seen"
    assert image.shape[1] == pytest.approx(3 * image.shape[0], abs=2)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate(NAMES) == ORDER
    assert told(chromium) == "12 of 12 shown"
    assert chromium.errors == []
    assert [url for url in chromium.requests if not url.startswith("data:")] == [pages["few"].as_uri()]


def test_a_click_on_a_header_sorts_by_it_and_another_turns_the_order(chromium, pages):
    show(chromium, pages)
    click(chromium, "<b>P</b>")
    assert chromium.evaluate(NAMES) == FALLING
    assert (sort_of(chromium, "<b>P</b>"), sort_of(chromium, "Wrongness")) == ("descending", "none")
    click(chromium, "<b>P</b>")
    assert chromium.evaluate(NAMES) == [*FALLING[-2::-1], "s2"], "what is not known stays last"
    assert sort_of(chromium, "<b>P</b>") == "ascending"
    click(chromium, "Subject")
    assert chromium.evaluate(NAMES) == [AWKWARD, *(f"s{number}" for number in range(12) if number != 4)]
    click(chromium, "Truth")
    shown = chromium.evaluate(NAMES)
    assert shown[:4] == [AWKWARD if name == "s4" else name for name in ("s10", "s7", "s4", "s1")], (
        "ties are as at first"
    )
    click(chromium, "Wrongness")
    assert chromium.evaluate(NAMES) == ORDER
    assert chromium.errors == []


def test_everything_is_reached_and_pressed_by_keyboard(chromium, pages):
    show(chromium, pages)
    reached = []
    for _ in range(9):
        chromium.press("Tab")
        reached.append(chromium.evaluate(FOCUSED))
    titles = ["Subject", "Truth", "Prediction", "Probability of control", "<b>P</b>", "Wrongness"]
    assert reached == ["search", "show", "truth", *titles]
    chromium.press("Enter")
    assert sort_of(chromium, "Wrongness") == "ascending"
    assert chromium.evaluate(NAMES) == [*ORDER[-2::-1], "s6"]
    chromium.press(" ")
    assert chromium.evaluate(NAMES) == ORDER
    assert chromium.evaluate(FOCUSED) == "Wrongness"


def test_filters_narrow_the_table_down_together(chromium, pages):
    show(chromium, pages)
    chromium.evaluate("document.querySelector('[data-filter=search]').focus()")
    chromium.type(" CONTR")
    expected = [
        name for name in ORDER if name not in ("s2", "s8", "s10", AWKWARD)
    ]  # who neither were nor were taken for one
    assert chromium.evaluate(NAMES) == expected
    assert told(chromium) == "8 of 12 shown"
    choose(chromium, "show", "wrong")
    assert chromium.evaluate(NAMES) == ["s11", "s7", "s5", "s1"]
    choose(chromium, "truth", LABELS[1])
    assert chromium.evaluate(NAMES) == ["s7", "s1"]
    click(chromium, "Subject")
    assert chromium.evaluate(NAMES) == ["s1", "s7"]
    choose(chromium, "search", "nobody")
    assert (chromium.evaluate(NAMES), told(chromium)) == ([], "0 of 12 shown")
    choose(chromium, "search", "")
    choose(chromium, "truth", "")
    choose(chromium, "show", "notes")
    assert chromium.evaluate(NAMES) == ["s5"]
    choose(chromium, "show", "all")
    assert told(chromium) == "12 of 12 shown"


def test_a_subject_is_shown_in_the_viewer_of_the_page(chromium, pages):
    show(chromium, pages, "viewed")
    assert chromium.evaluate("document.querySelectorAll('td button, tbody th button').length") == 1
    chromium.evaluate("document.querySelector('[data-view]').click()")
    chromium.wait("document.querySelector('.viewer').dataset.shown === '0'")
    assert chromium.errors == []
    show(chromium, pages)
    assert chromium.evaluate("getComputedStyle(document.querySelector('[data-view]')).display") == "none"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_axe_finds_nothing_serious(chromium, pages, axe, width, dark):
    show(chromium, pages, width=width, dark=dark)
    chromium.evaluate(axe + "; 0")
    found = json.loads(chromium.evaluate("axe.run({preload: false}).then(JSON.stringify)"))
    assert len(found["passes"]) > 15
    bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in bad] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_screen_reader_hears_a_table(chromium, pages, width):
    show(chromium, pages, width=width)
    nodes = chromium.send("Accessibility.getFullAXTree")["nodes"]
    heard = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    roles = [role for role, _ in heard]
    assert ("table", "Tested subjects") in heard
    assert (roles.count("row"), roles.count("columnheader"), roles.count("rowheader")) == (13, 10, 12)
    assert roles.count("cell") == 12 * 9
    assert ("img" if "img" in roles else "image", "Heatmap of s11") in heard
    assert ("button", "Wrongness") in heard
    show(chromium, pages, "many", width=width)
    nodes = chromium.send("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert roles.count("row") == 1 + NUM_SUBJECTS
    assert roles.count("rowheader") >= 60


def test_without_javascript_table_and_pictures_are_there(chromium, pages):
    chromium.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        show(chromium, pages)
        assert chromium.evaluate(NAMES) == ORDER
        assert (chromium.screenshot("tbody .tile").max(axis=-1) > 110).mean() > 0.05
        seen = chromium.evaluate("document.body.innerText")
    finally:
        chromium.send("Emulation.setScriptExecutionDisabled", value=False)
    assert "Search" not in seen
    assert "View in 3D" not in seen
    assert AWKWARD.partition("\u2028")[0] in seen


def test_print_has_the_pictures_and_no_controls(chromium, pages):
    show(chromium, pages)
    data = chromium.send("Page.printToPDF")["data"]  # without the setting that prints backgrounds
    assert base64.b64decode(data).count(b"/Subtype /Image") > 0
    chromium.send("Emulation.setEmulatedMedia", media="print")
    assert chromium.evaluate("getComputedStyle(document.querySelector('.subjects-bar')).display") == "none"


def test_very_many_subjects_are_soon_there(chromium, pages):
    assert pages["many"].stat().st_size < 9_000_000
    paints = []
    for _ in range(3):
        show(chromium, pages, "many")
        chromium.wait(f"{FIRST_PAINT} !== null")
        paints.append(chromium.evaluate(FIRST_PAINT))
    assert min(paints) < 2000, paints
    click(chromium, "Subject")
    assert chromium.evaluate(NAMES) == [f"s{number}" for number in range(NUM_SUBJECTS)]
    choose(chromium, "search", "s111")
    assert told(chromium) == "4 of 1113 shown"
    assert chromium.errors == []
