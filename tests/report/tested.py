"""Tested subjects as awkward as they come, for their table, and the table as it is read."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np

from mri3d.report.elements import element, write_page
from mri3d.report.figures import HeadView
from mri3d.report.sprites import Tile, tile
from mri3d.report.subject_table import SimilarScan, SubjectShown, subject_section
from tests.report.test_viewer import AWKWARD
from tests.report.viewed import stored

LABELS = ("control", AWKWARD, "ألزهايمر")
ORDER = ["s11", "s10", "s9", "s8", "s7", "s5", AWKWARD, "s3", "s2", "s1", "s0", "s6"]
"""Names of `subjects` as the page is opened."""


def tiles(number):
    """As many different tiles of heads, with heatmaps, as large in a page as those of scans."""
    volume, where, heatmap = stored()
    image = np.frombuffer(tile(HeadView(volume, where, heatmap)).pixels, np.uint8).reshape(64, 192, 3)
    rolled = [np.roll(image, place % 192, axis=1) * (1 - 0.05 * (place // 192)) for place in range(number)]
    return [Tile(each.astype(np.uint8).tobytes(), heatmap=True) for each in rolled]


def subject(number, *, pictures=(None,) * 4, **more):
    """One of them, the more wrong the larger its number; pictures are its own, and those of three training scans."""
    wrongness, truth = number / 10000, LABELS[number % 3]
    prediction = LABELS[0] if number % 2 else truth
    similar = [
        SimilarScan(f"train{place}", LABELS[place], 0.9 - 0.1 * place, pictures[1 + place]) for place in range(3)
    ]
    known = {
        "name": f"s{number}",
        "fold": number % 5,
        "truth": truth,
        "prediction": prediction,
        "values": {"Probability of control": 1 - wrongness, "<b>P</b>": math.nan if number == 2 else 100 * wrongness},
        "wrongness": wrongness,
        "correct": np.bool_(truth == prediction),
        "picture": pictures[0],
        "similar": similar,
    }
    return SubjectShown(**(known | more))


def subjects():
    """Twelve of them: s1, s5, s7 and s11 are wrong, s5 has notes and no pictures, and how wrong s6 is is not known."""
    drawn = tiles(15)
    found = [subject(number, pictures=[drawn[3 + number], *drawn[:3]]) for number in range(12)]
    found[4] = subject(4, name=AWKWARD, pictures=drawn[:4], viewed=AWKWARD)
    found[5] = subject(5, notes=[AWKWARD, "No heatmap."])
    found[6] = subject(6, pictures=drawn[:4], wrongness=math.nan)
    return found


def write(path, listed, *, word="subject", wrongness="Wrongness", note="", more=()):
    """Write a page with their table and return its text."""
    section = subject_section(listed, word=word, wrongness=wrongness, note=note)
    write_page(path, title="Subjects", sections=[element("h1", "Subjects"), *section, *more])
    return path.read_text(encoding="utf-8")


def table_of(page):
    """The headers of the table of a page, and its rows of cells."""
    root = ET.fromstring(re.search(r"<table.*</table>", page, re.DOTALL)[0])
    header, *rows = ([*row] for row in root.iter("tr"))
    return header, rows


def text_of(cell):
    """All that is written in a cell."""
    return "".join(cell.itertext())
