"""Charts in Chromium: the pointer finds what each mark says, in light, dark and on a phone."""

import json

import numpy as np
import pytest

from mri3d.outcome import Classes, Measure
from mri3d.outcome.score import Score
from mri3d.report.class_charts import calibration_chart, precision_recall_chart, probability_chart, roc_chart
from mri3d.report.elements import element, figure, write_page
from mri3d.report.forest import forest_chart
from mri3d.report.measure_charts import predicted_against_true_chart
from mri3d.report.shown_tests import ShownTests
from tests.report.reader import HOSTILE
from tests.report.svg import told

pytestmark = pytest.mark.slow

MANY = 1113

HIT = """
(([chart, mark]) => {
  const shape = document.querySelectorAll('svg.chart')[chart].querySelectorAll('.told > *')[mark];
  shape.scrollIntoView({block: 'center'});
  const box = shape.getBoundingClientRect();
  const found = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return found?.querySelector('title')?.textContent;
})(%s)
"""


@pytest.fixture(scope="module")
def charts():
    random = np.random.default_rng(0)
    truth = np.arange(30) % 2
    positive = (0.9 * random.random(30) + 0.3 * truth).clip(0, 1)
    of_two = Classes(("control", HOSTILE)), ShownTests(truth, np.stack([1 - positive, positive], axis=1))
    pictures = [draw(*of_two) for draw in (roc_chart, precision_recall_chart, probability_chart, calibration_chart)]
    rows = [([HOSTILE, "knn"], Score(0.02, -0.01, 0.05)), (["חולה", "knn"], Score(0.3))]
    pictures.append(forest_chart(rows, axis="Difference in AUC", reference=0.0, alt="Differences.", caption="y."))
    ages = random.uniform(20, 86, MANY)
    people = [HOSTILE, "נבדק", *map(str, range(2, MANY))]
    predicted = ages + random.normal(0, 5, MANY)
    return [*pictures, predicted_against_true_chart(Measure("age"), ShownTests(ages, predicted, subjects=people))]


@pytest.fixture(scope="module")
def page(tmp_path_factory, charts):
    path = tmp_path_factory.mktemp("charts") / "report.html"
    shown = element("div", *map(figure, charts), css="grid")
    write_page(path, title="Charts", sections=[element("h1", "Charts"), shown])
    return path.as_uri()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_pointer_finds_what_each_mark_says(chromium, page, charts, width):
    chromium.open(page, width=width)
    for number, picture in enumerate(charts[:-1]):
        said = [text for text, _ in told(picture)]
        found = [chromium.evaluate(HIT % [number, mark]) for mark in range(len(said))]
        alike = [text == other for text, other in zip(said, found, strict=True)]
        assert np.mean(alike) > 0.9, picture.alt  # a step may hide the one before it
        assert set(found) <= set(said)
    people = {text for text, _ in told(charts[-1])}
    assert {chromium.evaluate(HIT % [len(charts) - 1, mark]) for mark in range(0, MANY, 50)} <= people
    assert chromium.errors == []
    assert chromium.requests == [page]


def test_charts_fit_a_phone_and_keep_their_shape(chromium, page, charts):
    chromium.open(page, width=390, touch=True)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 390
    code = "[...document.querySelectorAll('svg.chart')].map(svg => [svg.clientWidth, svg.clientHeight])"
    for (width, height), picture in zip(chromium.evaluate(code), charts, strict=True):
        *_, across, down = picture.data.decode().partition('viewBox="')[2].partition('"')[0].split()
        assert 300 < width <= 390
        assert height / width == pytest.approx(float(down) / float(across), abs=0.01)


def test_charts_are_bright_on_a_dark_page(chromium, page):
    for dark in (False, True):
        chromium.open(page, width=1280, dark=dark)
        image = chromium.screenshot("svg.chart").astype(int).mean(axis=-1)
        paper = np.median(image)
        assert (paper < 60) == dark
        far = np.abs(image - paper).max()  # letters and axes
        assert far > 150


def test_a_screen_reader_finds_what_charts_say(chromium, page, charts):
    chromium.open(page, width=1280)
    nodes = chromium.send("Accessibility.getFullAXTree")["nodes"]
    read = {node["name"]["value"]: node["role"]["value"] for node in nodes if not node["ignored"] and "name" in node}
    for picture in charts:
        assert read[picture.alt] in ("group", "image", "img")
        assert all((" ".join(text.split()) in read) == (picture is not charts[-1]) for text, _ in told(picture))
    assert not {"False positive rate", "0.2"} & set(read)  # what is drawn only


def test_axe_finds_nothing_serious(chromium, page, axe):
    for width, dark in ((1280, False), (390, True)):
        chromium.open(page, width=width, dark=dark)
        chromium.evaluate(axe + "; 0")
        found = json.loads(chromium.evaluate("axe.run({preload: false}).then(JSON.stringify)"))
        bad = [each for each in found["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], [node["html"][:300] for node in each["nodes"]]) for each in bad] == []
