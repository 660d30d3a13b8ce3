"""Pictures of kernels and channels: what is planted shows at its place, in its colour."""

import io

import numpy as np
from matplotlib.image import imread

from mri3d.report.layer_pictures import ChannelsView, channels_picture, kernels_picture


def pixels(picture):
    return np.asarray(imread(io.BytesIO(picture.data), format=picture.media_type.partition("/")[2]), float)[..., :3]


def test_slices_of_a_kernel_lie_below_each_other_with_right_and_top_as_in_the_volume():
    kernels = np.zeros((2, 3, 5, 4), np.float32)
    kernels[0, 2, 2, 3] = 2.0  # right and top, on the coronal slice through the middle alone
    kernels[1, 1, 2, 2] = -2.0  # the middle of all three
    picture = kernels_picture(kernels, ["0", "1"], alt="a", caption="c")
    image = pixels(picture)
    image = image[:, :240]  # beside the scale of colours
    orange = np.argwhere((image[..., 0] > 0.9) & (image[..., 2] < 0.8))
    blue = np.argwhere((image[..., 2] > 0.9) & (image[..., 0] < 0.8))
    tile, pixel = 110, 110 / 5
    top, left = 8 + 18 + (tile + 2) + (tile - 4 * pixel) / 2, 8 + (tile - 3 * pixel) / 2
    np.testing.assert_allclose(orange.min(axis=0), [top, left + 2 * pixel], atol=2)
    np.testing.assert_allclose(orange.max(axis=0), [top + pixel, left + 3 * pixel], atol=2)
    middle = 8 + tile + 8 + tile / 2
    rows = {round((row - 26) // (tile + 2)) for row in blue[:, 0]}
    assert rows == {0, 1, 2}
    assert abs(blue[:, 1].mean() - middle) < pixel


def test_many_small_kernels_of_nothing_fit_the_width_of_a_page():
    picture = kernels_picture(np.zeros((40, 1, 1, 1), np.float32), [str(n) for n in range(40)], alt="a", caption="c")
    assert pixels(picture).shape[1] <= 1000
    assert (picture.media_type, picture.alt, picture.caption) == ("image/png", "a", "c")


def test_a_channel_is_drawn_over_its_place_on_a_scale_of_its_own():
    volume = np.zeros((20, 24, 22), np.float32)
    volume[4:16, 4:20, 4:18] = 1.0
    maps = [np.zeros_like(volume), np.zeros_like(volume)]
    maps[0][8:13, 10:15, 9:14] = 1e-3
    maps[1][8:13, 10:15, 9:14] = -1e3
    view = ChannelsView(maps, volume, np.array([9.0, 8.0, 9.0]), ["0: 0 to 0.001", "1: -1e+03 to 0"])
    image = pixels(channels_picture(view, alt="a", caption="c")) / 255
    half = (image.shape[1] - 84) // 2
    red, blue = image[..., 0] - image[..., 2], image[..., 2] - image[..., 0]
    assert red[:, :half].max() > 0.1 > blue[:, :half].max()
    assert blue[:, half : 2 * half].max() > 0.1 > red[:, half : 2 * half].max()
