"""Charts of principal components and pictures of maps, by what stands in them."""

import io

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.testing import assert_allclose

from mri3d.report.components import named_counts, scree_chart, sessions_chart
from mri3d.report.maps import MapView, map_picture, tissue_mask, volumes_picture
from tests.report.reader import HOSTILE
from tests.report.svg import points, texts, told

SIDES = (17, 18, 19)


def pixels(picture):
    """Decode a JPEG to [height, width, 3] in 0..1."""
    assert picture.media_type == "image/jpeg"
    return imread(io.BytesIO(picture.data), format="jpeg") / 255


def ball(centre):
    return (np.linalg.norm(np.moveaxis(np.indices(SIDES), 0, -1) - centre, axis=-1) < 2.5).astype(np.float32)


def test_scree_names_the_components_that_exist():
    ratios = np.r_[0.5, np.full(119, 0.5 / 119)]
    picture = scree_chart(ratios)
    text = picture.data.decode()
    assert "10: 53.8 %" in text  # 0.5 + 9 * 0.5 / 119
    assert "100: 91.6 %" in text  # 0.5 + 99 * 0.5 / 119
    assert "500:" not in text
    assert {"Component", "Number of components", "Cumulative variance explained (%)"} <= set(texts(picture))
    assert "10 components explain 53.8 %, 100 components explain 91.6 %" in picture.caption
    said = [text for text, _ in told(picture)]
    assert len(said) == 2 * 120
    assert {"Component 1\n50 % of the variance", "Components up to 10\n53.8 % of the variance"} <= set(said)


@pytest.mark.parametrize(
    ("num_components", "expected"), [(7, (7,)), (10, (10,)), (499, (10, 100)), (600, (10, 100, 500))]
)
def test_named_counts(num_components, expected):
    assert named_counts(np.full(num_components, 1 / num_components)) == expected


@pytest.mark.parametrize("num_components", [1, 2, 5])
def test_subjects_are_drawn_one_by_one_with_any_class_name(num_components):
    rng = np.random.default_rng(0)
    cells = [["$<病>", "_a"][target] for target in (0, 1, 1, 0, 1, 0, 1)]
    picture = sessions_chart(
        rng.standard_normal((7, num_components)),
        np.full(num_components, 0.25),
        cells,
        name="_dx",
        continuous=False,
        word="session",
        sessions=["s0", HOSTILE, *"abcde"],
        note="Told.",
    )
    text = picture.data.decode()
    assert text.count("<use") >= 7 * (2 if num_components >= 3 else 1)
    assert "Component 1 (25.0 %)" in text
    assert ("Component 3" in text) == (num_components >= 3)
    assert [said for said, _ in told(picture)][:2] == ["s0\n_dx $<病>", f"{HOSTILE}\n_dx _a"]
    assert "$&lt;病&gt;" in text
    assert " _a" in text
    assert " _dx" in texts(picture)  # above the legend
    assert picture.caption.startswith("Scores of the sessions on the first two")
    assert picture.alt.startswith("Sessions by their scores on the first two")
    assert picture.caption.endswith("Told.")


@pytest.mark.parametrize("num_components", [1, 2, 5])
def test_subjects_of_a_measure_have_a_colour_bar(num_components):
    scores = np.random.default_rng(0).standard_normal((9, num_components))
    ages = np.linspace(20, 60, 9).tolist()
    picture = sessions_chart(scores, np.full(num_components, 0.1), ages, name="age", continuous=True, word="subject")
    drawn = points(picture)
    assert [len(some) for some in drawn] == [9] * (2 if num_components >= 3 else 1)
    scale, start = np.polyfit(scores[:, 0], drawn[0][:, 0], 1)
    assert_allclose(start + scale * scores[:, 0], drawn[0][:, 0], atol=0.01)
    assert_allclose([ends[0] for _, ends in told(picture)], drawn[0], atol=0.006)
    assert told(picture)[0][0] == "age 20.0"
    assert "age" in texts(picture)
    assert "40" in texts(picture)  # a tick of the bar
    assert picture.alt.startswith("Subjects by their scores")
    assert picture.alt.endswith("coloured by age.")


def test_subjects_of_one_value_are_drawn():
    picture = sessions_chart(np.eye(4), np.full(4, 0.25), [3, 3, 3, 3], name="score", continuous=True, word="subject")
    assert "score" in texts(picture)


@pytest.mark.parametrize("cells", [[1, 2, 2, 1], [0.5, 1.5, 1.5, 0.5]])
@pytest.mark.parametrize("continuous", [False, True])
def test_what_colours_mean_is_what_is_said_whatever_the_cells_are(cells, continuous):
    picture = sessions_chart(
        np.eye(4)[:, :2], np.full(2, 0.25), cells, name="site", continuous=continuous, word="subject"
    )
    assert [len(some) for some in points(picture)] == ([4] if continuous else [2, 2, 1, 1])  # with those of a legend


def test_map_is_red_above_zero_blue_below_and_scaled_symmetrically():
    volume = ball((8, 9, 9)) * 0
    values = 4 * ball((4, 9, 9)) - 2 * ball((12, 9, 9))  # left red, right blue at half the strength
    view = MapView(values, volume, np.array([2.0, 2.0, 2.0]), unit="t", title="both")
    picture = map_picture(view, alt="alt", caption="caption", height=240)
    image = pixels(picture)
    red_less_blue = image[..., 0] - image[..., 2]
    coronal = slice(int(image.shape[1] * 0.29), int(image.shape[1] * 0.56))
    found = red_less_blue[30:, coronal]
    middle = found.shape[1] // 2
    assert found[:, :middle].max() > 0.25
    assert found[:, :middle].min() > -0.1
    assert image[30:, coronal][:, :middle].mean(axis=-1).max() > 0.85  # the strongest is at the bright end
    assert found[:, middle:].max() < 0.1
    assert found[:, middle:].min() < -0.35  # deep blue: half of the way, though nothing below 0 is stronger


def test_planes_go_through_the_peak_on_request():
    peak, middle = (3, 4, 15), (8, 9, 9)
    view = MapView(ball(peak), ball(middle), np.ones(3), unit="t", title="", at_peak=True)
    elsewhere = MapView(ball(peak), ball(middle), np.ones(3), unit="t", title="")
    drawn = [pixels(map_picture(one, alt="", caption=""))[30:, :-110] for one in (view, elsewhere)]
    coloured = [(image[..., 0] - image[..., 2] > 0.3).sum() for image in drawn]
    assert coloured[0] > 1000
    assert coloured[1] == 0


def test_volumes_share_the_grey_scale_of_the_first():
    volume = 100 * ball((8, 9, 9)) + 20
    picture = volumes_picture(
        [volume, volume / 2], ["whole", "half"], np.array([2.0, 1.0, 1.5]), unit="intensity", alt="a", caption="c"
    )
    image = pixels(picture)[..., 0]
    column = (image.shape[1] - 96 - 12) // 2
    brightest = [np.percentile(image[30:, 12 + k * column + 40 : (k + 1) * column - 30], 99.5) for k in range(2)]
    assert_allclose(brightest[0], 1.0, atol=0.05)
    assert_allclose(brightest[1], (60 - 20) / (120 - 20), atol=0.08)


def test_very_small_values_of_a_map_stand_in_units_of_a_power_of_ten():
    values = 3.7 * ball((4, 9, 9)) - 2 * ball((12, 9, 9))

    def drawn(scale, unit):
        view = MapView(scale * values, ball((8, 9, 9)), np.full(3, 2.0), unit=unit, title="")
        return pixels(map_picture(view, alt="", caption=""))

    small, plain = drawn(1e-6, "weight"), drawn(1.0, "weight")
    bar = plain.shape[1] - 54  # right of it is the name of the unit
    assert_allclose(small[:, :bar], plain[:, :bar], atol=0.05)
    assert_allclose(small, drawn(1.0, "weight × 10⁻⁶"), atol=0.05)


@pytest.mark.parametrize(("air", "scale"), [(0.0, 1.0), (-2.5, 1.0), (100.0, 1e4)])
def test_tissue_is_where_any_average_has_some_and_within(air, scale):
    distance = np.linalg.norm(np.moveaxis(np.indices((30, 31, 32)), 0, -1) - (14, 15, 16), axis=-1)
    left = (distance < 10) & (np.indices(distance.shape)[0] < 20)
    right = (distance < 10) & (np.indices(distance.shape)[0] > 8)
    cavity = distance < 3
    noise = np.random.default_rng(0).normal(0, 0.005, distance.shape)
    heads = [air + scale * (np.where(half & ~cavity, 1.0, 0.0) + noise) for half in (left, right)]
    np.testing.assert_array_equal(tissue_mask(heads), left | right)
    np.testing.assert_array_equal(tissue_mask(heads[:1]), left)


def test_titles_of_many_volumes_are_cut_to_their_columns():
    volumes = [ball((8, 9, 9))] * 12
    titles = ["a class with a long name"] * 12
    long, cut = (
        pixels(volumes_picture(volumes, names, np.ones(3), unit="i", alt="", caption=""))
        for names in (titles, [f"{title[:11]}…" for title in titles])
    )
    assert_allclose(long, cut, atol=0.05)
