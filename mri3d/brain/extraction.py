"""Which voxels of a head are its brain: the networks of deepbet, run by code of our own.

deepbet 1.0.2 (Fisch et al. 2024, deepbet: fast brain extraction of T1-weighted MRI using convolutional neural networks;
MIT licence) carries two networks. One finds the box of the brain in the whole image, the other the brain in that box.
What surrounds them is ours: the package itself asks for a graphical user interface and fails without a reason where
there is no brain. Images are resized linearly to 192^3, where deepbet takes the nearest of 256^3 voxels: half the time,
and as good (Dice of 0.982 either way with the label maps of four heads of IXI).
"""

import functools
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from mri3d import files
from mri3d.errors import NotInstalledError

DEEPBET = "1.0.2"

INSTALL = f"pip install --no-deps deepbet=={DEEPBET}"
"""How to get the networks, without what deepbet's own programs need beside them."""

_SHA256 = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
_COARSE, _FINE = (128, 128, 128), (192, 192, 192)
_QUANTILES = (0.005, 0.995)  # of the coarse image, as in deepbet
_MEAN, _SPREAD = 0.449, 0.226  # of the images that the networks were trained on
_FILLED = 0.02  # share of a plane that is brain where the box begins
_MARGIN = 0.1  # of the box's sides, on either side of it
_CONNECTED = ndimage.generate_binary_structure(3, 3)


class NoBrain(ValueError):
    """Nothing in an image looks like a brain."""


def brain_mask(image: np.ndarray) -> np.ndarray:
    """Find the brain in an image of a head.

    Args:
        image: Intensities [X, Y, Z] of a T1-weighted scan, RAS+, cropped to the head: with much air around it nothing
            is found.

    Returns:
        Which voxels are brain, ventricles and sulci included: one piece without holes, bool [X, Y, Z].

    Raises:
        NoBrain: There is none.
        NotInstalledError: The networks are not installed, or are not those that are known.
    """
    with _lock:  # one thread loads them, and the others wait
        coarse_network, fine_network = _networks()
    with torch.inference_mode(), _one_thread():
        whole = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        coarse = _resized(whole, _COARSE, "nearest-exact")
        low, high = np.quantile(coarse.numpy(), _QUANTILES).astype(np.float32)
        if not low < high:
            raise NoBrain("nearly all of it is of one value")
        found = coarse_network(_normalised(coarse, low, high))[0, 1].numpy() > 0.5
        box = _box(_largest(found), image.shape)
        part = _normalised(_resized(whole[box], _FINE, "trilinear"), low, high)
        inside = _resized(fine_network(part)[0, 1], whole[box].shape, "trilinear").numpy() > 0.5
    mask = np.zeros(image.shape, bool)
    mask[box] = ndimage.binary_fill_holes(_largest(inside))
    return mask


@functools.cache
def _networks() -> "tuple[torch.jit.ScriptModule, torch.jit.ScriptModule]":
    """Load the two networks: code as well as weights, and therefore only those of the known digests."""
    try:
        distribution = metadata.distribution("deepbet")
    except metadata.PackageNotFoundError:
        raise NotInstalledError(f"the brain cannot be extracted: deepbet is not installed. Run: {INSTALL}") from None
    listed = {file.name: Path(str(file.locate())) for file in distribution.files or () if file.suffix == ".pt"}
    for name, expected in _SHA256.items():
        path = listed.get(name)
        if path is None or not path.is_file() or files.digest(path.read_bytes()) != expected:
            raise NotInstalledError(
                f"the brain cannot be extracted: the networks of deepbet {DEEPBET} are not there, or are others. Run: "
                f"{INSTALL} --force-reinstall"
            )
    load = functools.partial(torch.jit.load, map_location="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch, for Pythons of the future
        box, brain = (load(str(listed[name])).eval() for name in _SHA256)
    return box, brain


_lock = threading.Lock()
_lent: list[int] = []  # how many threads torch had, for each extraction that goes on


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute in one thread: scans are worked on side by side, and results do not depend on the machine."""
    with _lock:
        _lent.append(_lent[0] if _lent else torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            torch.set_num_threads(_lent.pop())


def _normalised(image: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Bring an image [X, Y, Z] to the scale of the training images, [1, 1, X, Y, Z]."""
    clipped = ((image - low) / (high - low)).clamp(0, 1)
    return (_SPREAD * (clipped - clipped.mean()) / clipped.std() + _MEAN)[None, None]


def _resized(image: torch.Tensor, sides: Sequence[int], mode: str) -> torch.Tensor:
    """Resize an image [X, Y, Z], its outer faces staying where they are."""
    return F.interpolate(image[None, None], tuple(sides), mode=mode)[0, 0]


def _largest(mask: np.ndarray) -> np.ndarray:
    """Return the largest piece of a mask."""
    labels, number = ndimage.label(mask, _CONNECTED)
    if not number:
        raise NoBrain("nothing looks like a brain")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _box(found: np.ndarray, sides: Sequence[int]) -> tuple[slice, ...]:
    """Return the box of a coarse mask in an image of other sides, with a margin."""
    box = []
    for axis, side in enumerate(sides):
        filled = np.flatnonzero(found.mean(axis=tuple({0, 1, 2} - {axis})) > _FILLED)
        if not len(filled):
            raise NoBrain("too little of it looks like a brain")
        ratio = side / found.shape[axis]
        first, end = filled[0] * ratio, (filled[-1] + 1) * ratio
        margin = _MARGIN * (end - first)
        box.append(slice(max(0, round(first - margin)), min(side, round(end + margin))))
    return tuple(box)
