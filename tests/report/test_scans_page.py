"""The page of scans: what a picture shows where, which scan comes first, and what is told of it."""

import io

import numpy as np
import pytest
from PIL import Image

from mri3d.report.elements import element
from mri3d.report.picture import Picture
from mri3d.report.scans_page import FigureText, ScanShown, scans_section, write_scans_page
from mri3d.report.thumbnail import middle_planes, thumbnail
from tests.report.reader import HOSTILE, Reader, read

TEXTS = {
    "brain_ml": FigureText("Brain volume", "{:,.0f} ml", "of the brain."),
    "similarity": FigureText("Similarity", "{:.2f}", "to the template."),
}
PICTURE = Picture(b"123", "image/jpeg", "a scan")


def pixels(picture):
    """Decode a picture [rows, columns]."""
    return np.asarray(Image.open(io.BytesIO(picture.data))).astype(int)


def write(path, scans, **more):
    write_scans_page(path, scans, TEXTS, **({"facts": {"run": "runs/x"}, "note": "a note"} | more))
    return read(path)


def texts_of(section):
    reader = Reader()
    reader.feed(element("main", *section))
    return [text for text in reader.texts if text.strip()]


def test_marked_voxels_are_where_they_lie_in_the_head():
    volume = np.zeros((20, 24, 28), np.float32)
    volume[10, 20, 24] = volume[16, 12, 5] = volume[3, 21, 14] = 9.0  # of the sagittal, coronal and axial plane
    shown = pixels(thumbnail(middle_planes(volume), alt="a"))
    assert shown.shape == (28, 24 + 2 + 20 + 2 + 20)
    columns = (slice(0, 24), slice(26, 46), slice(48, 68))
    found = [np.unravel_index(shown[:, part].argmax(), shown[:, part].shape) for part in columns]
    assert found[0] == (27 - 24, 20)  # front to the right, up
    assert found[1] == (27 - 5, 16)  # right to the right, down
    assert found[2] == (2 + 23 - 21, 3)  # left to the left, front up; the plane is less tall by 4
    assert shown.max() > 200
    assert np.median(shown) < 10


def test_millimetres_are_as_long_along_every_axis_and_large_images_shrink():
    flat = thumbnail(middle_planes(np.random.default_rng(0).random((30, 20, 10))), alt="a", spacing_mm=(1, 1.5, 3))
    assert pixels(flat).shape == (30, 30 + 2 + 30 + 2 + 30)
    large = thumbnail(middle_planes(np.random.default_rng(0).random((160, 192, 160))), alt="a")
    assert pixels(large).shape == (64, 64 + 2 + 53 + 2 + 53)
    assert len(large.data) < 10_000


@pytest.mark.parametrize("value", [0.0, -3.0, 1e308])
def test_constant_volume_is_black(value):
    assert pixels(thumbnail(middle_planes(np.full((7, 8, 9), value)), alt="a")).max() < 10


def test_values_of_any_size_are_drawn():
    volume = np.random.default_rng(0).choice([-1e308, 1e308], (7, 8, 9))
    shown = pixels(thumbnail(middle_planes(volume), alt="a"))
    assert shown.max() - shown.min() > 200


def test_spike_voxel_does_not_darken_the_others():
    volume = np.random.default_rng(0).random((20, 20, 20)) + 1
    plain = pixels(thumbnail(middle_planes(volume), alt="a"))
    volume[10, 10, 10] = 65535.0
    assert np.abs(pixels(thumbnail(middle_planes(volume), alt="a")) - plain).mean() < 10


def test_refused_come_first_with_their_reasons_and_all_texts_are_escaped(tmp_path):
    scans = [
        ScanShown("<b>bold</b>", None, refused=f"truncated {HOSTILE}"),
        ScanShown("sub-2", PICTURE, {"brain_ml": 1234.4, "similarity": -0.001}, warnings=(HOSTILE,)),
    ]
    found = write(tmp_path / "scans.html", scans, facts={"run": HOSTILE}, note=HOSTILE)
    texts = [text for text in found.texts if text.strip()]
    assert texts[texts.index("1") + 1] == "scan that can be used, of 2. 1 scan is refused: see the reasons below."
    place = texts.index("Refused: 1")
    assert texts[place : place + 4] == ["Refused: 1", "No picture", "<b>bold</b>", f"truncated {HOSTILE}"]
    place = texts.index("Used: 1")
    assert texts[place + 1 : place + 7] == ["sub-2", "Brain volume ", "1,234 ml", "Similarity ", "0.00", HOSTILE]
    assert [image["alt"] for image in found.images] == ["a scan"]
    assert "script" not in found.tags
    assert "Similarity: to the template." in texts


def test_refused_alone_are_counted_as_such(tmp_path):
    found = write(tmp_path / "scans.html", [ScanShown("a", None, refused="bad"), ScanShown("b", None, refused="bad")])
    texts = [text for text in found.texts if text.strip()]
    assert texts[texts.index("2") + 1] == "scans that cannot be used: see the reasons below."
    assert not any(text.startswith("Used") for text in texts)


def test_one_scan_without_figures_has_no_words_on_them(tmp_path):
    found = write(tmp_path / "scans.html", [ScanShown("a", PICTURE)])
    texts = [text for text in found.texts if text.strip()]
    assert texts[texts.index("1") + 1] == "scan that can be used, of 1."
    assert "How to read this" not in texts
    section = texts_of(scans_section([ScanShown("a", PICTURE)], TEXTS, page="scans.html"))
    told = ["Scans", "1 scan: 0 refused, 0 used with warnings. ", "All of them in pictures", "."]
    assert section == [*told, "1 scan in pictures", "a"]


def test_very_many_warnings_are_folded_away(tmp_path):
    warnings = tuple(f"warning {number}" for number in range(500))
    found = write(tmp_path / "scans.html", [ScanShown("a", PICTURE, warnings=warnings)])
    assert set(warnings) <= set(found.texts)
    assert found.texts.index("498 more warnings") == found.texts.index("warning 1") + 1
    assert found.tags.count("details") == 1


def test_two_thousand_scans_make_a_page_of_a_few_megabytes(tmp_path):
    picture = thumbnail(middle_planes(np.random.default_rng(0).random((50, 50, 50))), alt="a")  # noise is the largest
    scans = [ScanShown(f"sub-{number}", picture, {"similarity": 0.5}) for number in range(2000)]
    write_scans_page(tmp_path / "scans.html", scans, TEXTS, facts={}, note="")
    assert (tmp_path / "scans.html").stat().st_size < 2000 * (4 / 3 * len(picture.data) + 500)


def test_section_has_range_and_median_of_those_that_are_used_and_the_worst_scans():
    used = [ScanShown(f"u{row}", PICTURE, {"similarity": 0.4 + row / 100}) for row in range(11)]
    used[7] = ScanShown("u7", PICTURE, {"similarity": 0.47}, warnings=("odd",))
    refused = [ScanShown("bad", None, {"similarity": 0.01}, refused="no brain")]
    section = scans_section([*refused, *used], TEXTS, page="scans.html")
    texts = texts_of(section)
    assert "12 scans: 1 refused, 1 used with warnings. " in texts
    place = texts.index("Median")
    assert texts[place : place + 7] == ["Median", "Lowest", "Highest", "Similarity", "0.45", "0.40", "0.50"]
    names = [text for text in texts if text in {scan.name for scan in [*refused, *used]}]
    assert names == ["bad", "u7", *(f"u{row}" for row in (0, 1, 2, 3, 4, 5, 6, 8, 9, 10))]
    assert texts[texts.index("u5") + 1 : texts.index("u6") + 1][-2:] == ["4 scans in pictures", "u6"]
    assert 'href="scans.html"' in "".join(section)


def test_section_of_scans_without_figures_shows_first_those_to_look_at():
    scans = [ScanShown("a", PICTURE), ScanShown("b", PICTURE, warnings=("odd",))]
    texts = texts_of(scans_section(scans, TEXTS, page="scans.html"))
    assert texts[-5:] == ["Those to look at first:", "b", "odd", "1 scan in pictures", "a"]


def test_section_holds_as_many_pictures_as_a_page_has_room_for():
    large = Picture(bytes(100_000), "image/jpeg", "a")
    texts = texts_of(scans_section([ScanShown(f"s{row}", large) for row in range(25)], TEXTS, page="scans.html"))
    assert "20 scans in pictures, of 25: the page of scans has all" in texts
