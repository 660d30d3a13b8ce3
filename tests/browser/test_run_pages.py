"""Pages of runs and predictions in Chromium: nothing fails or leaves them, all can use them, scans are viewed."""

import json

import pytest

from mri3d.cohort.demo import DemoStudy
from mri3d.texts import isolated
from tests.commands import run_here

pytestmark = pytest.mark.slow

WIDTHS = (1200, 390)
SMALL = ("data.demo.num_subjects=20", "data.demo.effect=0.8", "resolution=24", "evaluation.folds=3")
NETWORK = ("model.network.channels=[4,8,4]", "trainer.max_epochs=2", "trainer.accelerator=cpu", "model.num_workers=0")
SHOWN = "document.querySelector('.viewer').dataset.shown !== undefined"
SERIOUS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => each.id + ": " + each.nodes[0].html.slice(0, 200)))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Addresses of the pages: of a network and a linear model in three folds, of a regression, of predictions."""
    cwd = tmp_path_factory.mktemp("runs")
    run_here("train", *SMALL, *NETWORK, "evaluation=kfold", "report.faces=true", "name=network", cwd=cwd)
    run_here("train", *SMALL, "evaluation=kfold", "model=ridge", "name=linear", cwd=cwd)
    found = {name: next(cwd.glob(f"runs/{name}/*/report.html")) for name in ("network", "linear")}
    scans = DemoStudy(num_subjects=20, effect=0.8).build() / "brain_nii"
    model = f"model={found['network'].parent}"
    run_here("predict", model, f"scans={scans}", "out=predicted", "report.faces=true", cwd=cwd)
    found["predicted"] = cwd / "predicted/report.html"
    return {name: path.as_uri() for name, path in found.items()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["network", "linear", "predicted"])
def test_nothing_fails_nothing_leaves_the_page_and_nothing_is_out_of_reach(chromium, axe, pages, name, width):
    chromium.open(pages[name], width=width, touch=width < 500)
    chromium.evaluate("document.querySelector('.viewer').scrollIntoView()")
    chromium.wait(SHOWN)
    assert chromium.errors == []
    assert [address for address in chromium.requests if not address.startswith(("data:", "blob:"))] == [pages[name]]
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    chromium.evaluate(axe + "; 1")
    assert chromium.evaluate(SERIOUS) == []


@pytest.mark.parametrize("name", ["network", "predicted"])
def test_a_scan_that_is_asked_for_is_viewed_with_its_heatmap(chromium, pages, name):
    chromium.open(pages[name], width=1200)
    buttons = chromium.evaluate("[...document.querySelectorAll('button[data-view]')].map(each => each.dataset.view)")
    assert buttons
    chosen = json.dumps(buttons[-1])
    chromium.evaluate(f"document.querySelector('button[data-view=' + JSON.stringify({chosen}) + ']').click()")
    chromium.wait(SHOWN)
    number = chromium.evaluate(
        f"[...document.querySelectorAll('[data-control=scan] option')].findIndex(each => each.textContent === {chosen})"
    )
    chromium.wait(f"document.querySelector('.viewer').dataset.shown === '{number}'")
    assert f"{isolated(buttons[-1])}: " in chromium.evaluate("document.querySelector('.viewer-caption').textContent")
    image = chromium.screenshot(".viewer-stage").astype(int)
    assert (image.max(axis=-1) > 60).mean() > 0.1  # a head is drawn
    spread = image.max(axis=-1) - image.min(axis=-1)
    assert (spread > 60).mean() > 0.001, "no colours of a heatmap"


def test_the_table_of_a_run_is_narrowed_down(chromium, pages):
    chromium.open(pages["network"], width=1200)
    chromium.evaluate("document.querySelector('[data-filter=text], .subjects input').focus()")
    chromium.type("demo00")
    shown = chromium.evaluate("document.querySelectorAll('.subjects tbody tr:not([hidden])').length")
    assert 0 < shown < 20
