"""The page that says by which ways the maps of a run can be trusted."""

import pytest

from mri3d.report.trust_charts import cascade_chart, following_chart
from mri3d.report.trust_page import write_trust_page
from tests.commands import undrawn
from tests.report.reader import HOSTILE, read
from tests.report.svg import marks, texts, told

SHARES = [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0]


def curves(*orders: str):
    """Return `curves` of trust.json: straight lines."""
    down = [1 - share for share in SHARES]
    band = {"mean": down, "low": [value - 0.1 for value in down], "high": [value + 0.1 for value in down]}
    sides = {"random": {"mean": SHARES}, **{order: band for order in orders}}
    return {"shares": SHARES, "deletion": sides, "insertion": sides}


def way(title="SmoothGrad", **more):
    """Return an entry of `ways` of trust.json."""
    fold = {"num_scans": 6, "gain": 2.0, "gain_shuffled": 0.4, "similarity": 0.1}
    return {
        "title": title,
        "num_scans": 12,
        "gain": 2.0671,
        "gain_shuffled": 0.479,
        "p": 0.0021,
        "similarity": [0.9, 0.5, 0.0123],
        "agreement": 0.815,
        "trusted": True,
        "reason": "It follows.",
        "folds": [{"fold": 0, **fold}, {"fold": 1, **fold}],
        "curves": curves("map", "shuffled"),
        **more,
    }


def content(*ways: dict, **more: object):
    """Return trust.json."""
    return {
        "run": "runs/x/y",
        "num_tested": 14,
        "num_models": 2,
        "short_form": 5,
        "better_than_chance": True,
        "similarity_limit": 0.5,
        "left_out": {},
        "ways": list(ways),
        **more,
    }


@undrawn()
def test_each_way_has_its_verdict_figures_and_reason(tmp_path):
    linear = {"trusted": None, "gain_shuffled": None, "similarity": [], "agreement": None, "curves": curves("map")}
    bad = way("Grad-CAM", trusted=False, reason="They look alike.")
    write_trust_page(tmp_path / "p.html", content(way(), bad, way("weights", **linear)))
    page = read(tmp_path / "p.html")
    said = " | ".join(text for text in page.texts if text.strip())
    assert "SmoothGrad | trusted | 2.067 | 0.479 | 0.00210 | 0.012 | 0.815" in said
    assert "Grad-CAM | not trusted" in said
    assert "weights | not judged | 2.067 | – | 0.00210 | – | –" in said
    assert "Fold 1 | 6 | 2.000 | 0.400 | 0.100" in said
    assert " 12 of 14 that were tested" in said
    assert "This is the long form." in said
    assert "which looked at 5 scans of the first fold when the model was trained." in said
    write_trust_page(tmp_path / "q.html", content(way("weights", **linear), short_form=None))
    assert "short form" not in (tmp_path / "q.html").read_text(), "nobody examined it"
    assert len(page.images) == 1 + 3
    assert (tmp_path / "p.html").read_text().count('class="caution"') == 1


@undrawn()
def test_what_makes_all_doubtful_stands_at_the_top_and_hostile_names_are_text(tmp_path):
    found = content(way(), run=HOSTILE, left_out={HOSTILE: 'site "אב" is unknown'}, better_than_chance=False)
    write_trust_page(tmp_path / "p.html", found)
    page = read(tmp_path / "p.html")
    assert "script" not in page.tags
    said = " | ".join(text for text in page.texts if text.strip())
    assert said.index("no better than chance") < said.index("1 scan is left out") < said.index("SmoothGrad")
    assert f'{HOSTILE} | site "אב" is unknown' in said


def test_curves_have_a_name_and_say_their_values():
    picture = following_chart("SmoothGrad", curves("map", "shuffled"))
    names = {"In the order of the map", "Of the map of shuffled weights", "In random order"}
    assert names < set(texts(picture))
    assert {"Taken out of the scan (% of its parts)", "Put into the average scan (% of its parts)"} < set(
        texts(picture)
    )
    said = [text for text, _ in told(picture)]
    assert len(said) == 2 * 3 * len(SHARES)
    assert "In the order of the map\nPut into the average scan: 40 %\nExplained number: 0.6" in said
    of_linear = texts(following_chart("Weights", curves("map")))
    assert names & set(of_linear) == names - {"Of the map of shuffled weights"}


def test_the_cascade_begins_at_the_map_itself():
    picture = cascade_chart({"SmoothGrad": [0.5, 0.0], "Grad-CAM": [0.8, 0.6, 0.4, 0.2]}, limit=0.5)
    assert {"SmoothGrad", "Grad-CAM"} < set(texts(picture))
    assert told(picture)[0][0] == "SmoothGrad\nLayers: 50 %\nCorrelation: 0.50"
    one, other = (line for line in marks(picture) if len(line) in (3, 5))
    assert one[0].tolist() == other[0].tolist()
    assert one[1, 0] == pytest.approx(other[2, 0], abs=0.01), "half of the layers"
    assert one[1, 1] - one[0, 1] == pytest.approx(one[2, 1] - one[1, 1], abs=0.01)
