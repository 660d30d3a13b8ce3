"""Tell masks and label maps, whose numbers are names, from scans; also those whose edges were made soft."""

from dataclasses import dataclass

import numpy as np

from mri3d.scans.intensities import outermost_values

# Of the pairs of neighbours: 0.71 to 0.93 in label maps and masks, 0.03 to 0.3 in scans (DLMUSE and IXI at 2 mm,
# OpenNeuro ds002748, MNI152), 0.5 in a scan that was doubled in size by repeating its voxels.
MIN_EQUAL = 0.6
MANY = 10  # values, and as high: a few that are higher may be a drawing of a head
NUM_PLANES = 16  # looked at; all of the voxels would take longer than all else
ROWS = (32, 8)  # of every other one: so many, or every eighth where that is more

# Shares of the range of intensities:
EQUAL = 2e-4  # between voxels that count as equal; the noise of scans is 0.01 to 0.1
BACKGROUND = 0.02  # up to here from the background a voxel is background, or the rim of a smoothed mask
LEVEL = 0.01  # likewise from the level that the inside of a mask has
EDGE = 0.2  # so far from both a voxel lies on the edge of a mask, and not in the ripples that splines leave around it

# Shares of the voxels that are not background, in heads and brains (IXI, ds002748, MNI152; as they are, with other
# contrasts, z-scored, of 20 to 255 grey levels, blurred by 16 mm, with bias, denoised, repeated; CT phantoms) and in
# masks of the same heads and brains, turned or made finer or coarser by linear functions or cubic splines, averaged
# over 2 x 2 x 2 voxels, or smoothed by a Gaussian of half a voxel or a whole one.
MIN_FLAT = 0.4  # equal to their neighbours, at one level: <= 0.18 in scans, 0.2 to 0.3 in brains clipped at their 95th
# percentile with all of the air and in CT of a narrow window, 0.3 to 0.65 at the 90th; 0.42 to 0.9 in masks
MIN_FLAT_TOLD = 0.2  # the same: 0.23 to 0.55 in masks that were smoothed by two voxels, 0.2 to 0.3 in noise-free heads
MAX_TURNS = 0.2  # darkest or brightest between neighbours, of the voxels on edges: 0.27 to 0.46 in those brains at the
# 90th percentile (0.2 in an average of many, with 0.33 at one level); 0 to 0.16 in masks, but 0.14 to 0.3 where splines
# left ripples: some of these are told, not refused
MAX_OTHER = 0.05  # equal to their neighbours, at other levels: <= 0.006 in masks; a drawing of a head has several
MIN_WHOLE = 0.015  # the same, whole numbers where those on edges are not, `MANY` of them: 0.02 to 0.13 in label
# maps; <= 0.04 in scans, of 5 of them at most, and 0.09 in noise-free heads of 2
MAX_WHOLE_EDGES = 0.8  # whole numbers, of the voxels that differ from their neighbours: 0 or 1 in scans
MIN_WHOLE_LEVELS = 0.7  # of the voxels that do not: 0.75 to 1 in label maps, <= 0.1 in scans, where
# grey levels are halves about 0.5, or up to 0.85 of a few numbers
MAX_FAINT = 0.5  # not quite background: <= 0.31 in masks; 400 in a head whose burnt-in letters are all that is bright


@dataclass(frozen=True)
class Labels:
    """What speaks for labels instead of intensities.

    Attributes:
        what: What the voxels are where they are labels for certain, such as "a mask"; else empty.
        warnings: Else what speaks for a drawing of a head, or for other labels, one sentence each.
    """

    what: str = ""
    warnings: tuple[str, ...] = ()


def find_labels(data: np.ndarray) -> Labels:
    """Tell labels from intensities.

    Labels are whole numbers, low ones or many of them, and neighbours are mostly equal; the noise of a scan makes them
    differ. The value that stands most often is that of the background, and does not count. Smoothing or resampling
    makes other numbers of the edges; the inside of what was a label stays equal to its neighbours.

    Args:
        data: Voxels [X, Y, Z], finite, any real type and axis order.
    """
    planes = _planes(data)
    values, counts = np.unique(planes[:, ::3, ::3], return_counts=True)
    many, low = len(values) >= MANY, values[0] >= 0 and values[-1] <= MANY
    if len(values) <= 2 and np.isin(data, values).all():
        return Labels("a mask")
    if _in_pieces(planes, values, counts):
        if (low or many) and _in_pieces(_without_repeats(planes), values, counts):
            return Labels("a label map")
        told = ", ".join(f"{value:g}" for value in values)
        few = f"its values are {told} only, as those of labels are, and not of a scan"
        return Labels(warnings=() if many else (few,))
    flat = _flat(planes)
    if flat.is_mask:
        return Labels("a mask with soft edges")
    if flat.is_label_map:
        return Labels("a resampled label map")
    if flat.share < MIN_FLAT_TOLD or (flat.turns > MAX_TURNS and flat.share < MIN_FLAT) or flat.faint > MAX_FAINT:
        return Labels()
    much = f"{flat.share:.0%} of its voxels, the background left out, are {flat.level:.4g} as all their neighbours"
    return Labels(warnings=(f"{much}, as in a smoothed mask, a map of probabilities or a scan that was clipped",))


@dataclass(frozen=True)
class _Flat:
    """What is equal to its neighbours, as shares of the voxels that are not background.

    Attributes:
        level: The value that most of these have.
        share: Those of that level that are equal to their neighbours.
        others: Likewise those of other levels.
        num_whole: How many whole numbers the others are, where the voxels that differ from neighbours are others too.
        whole: Those that are one of these.
        turns: Of the voxels on edges, the share that is darker or brighter than both neighbours.
        faint: Voxels that are nearly background, in relation to those that are not.
    """

    level: float = 0.0
    share: float = 0.0
    others: float = 0.0
    num_whole: int = 0
    whole: float = 0.0
    turns: float = 0.0
    faint: float = 0.0

    @property
    def is_mask(self) -> bool:
        """Whether there is one level and its edges, with nothing else."""
        one = self.share >= MIN_FLAT and self.others <= MAX_OTHER
        return one and self.turns <= MAX_TURNS and self.faint <= MAX_FAINT

    @property
    def is_label_map(self) -> bool:
        """Whether there are many whole numbers, and edges where they were mixed."""
        return self.num_whole >= MANY and self.whole >= MIN_WHOLE and self.whole >= MIN_WHOLE_LEVELS * self.others


def _flat(planes: np.ndarray) -> _Flat:
    """Measure what is equal to its neighbours in some rows of planes [N, Y, Z].

    The rows are drawn by chance, always the same ones: at equal distances they might all lie on the first of voxels
    that were repeated.
    """
    sample = planes[::2, ::5, ::3].astype(np.float32)
    low, high = (float(value) for value in outermost_values(sample))
    width, num_rows = high - low, planes.shape[1] - 2
    if not width or min(planes.shape[1:]) < 3:
        return _Flat()
    background = _level(sample, low, high)
    apart = np.abs(sample - background)
    image = sample[apart > BACKGROUND * width]
    if not image.size:
        return _Flat()
    level = _level(image, low, high)
    faint = (np.count_nonzero(apart > EQUAL * width) - image.size) / image.size
    darkest, brightest = (float(value) for value in outermost_values(image))
    equal = EQUAL * (brightest - darkest)  # not of a range that a far background has made
    rows = 1 + np.sort(np.random.default_rng(0).permutation(num_rows)[: max(ROWS[0], num_rows // ROWS[1])])
    above, here, below = (np.clip(planes[::2, rows + step].astype(np.float32), low, high) for step in (-1, 0, 1))
    voxels = here[:, :, 1:-1]
    from_background, from_level = np.abs(voxels - background), np.abs(voxels - level)
    counted = from_background > BACKGROUND * width
    num_counted = max(1, int(np.count_nonzero(counted)))
    flat = counted.copy()
    steps = [other - voxels for other in (above[:, :, 1:-1], below[:, :, 1:-1], here[:, :, :-2], here[:, :, 2:])]
    for step in steps:
        flat &= np.abs(step) <= equal
    at_level = flat & (from_level <= LEVEL * width)
    others, rough = voxels[flat & ~at_level], voxels[counted & ~flat]
    mixed = np.count_nonzero(_is_whole(rough)) < MAX_WHOLE_EDGES * rough.size
    whole = others[_is_whole(others)] if mixed else others[:0]
    edge = (from_background > EDGE * width) & (from_level > EDGE * width)
    turns = [np.count_nonzero(edge & (one * two > 0)) for one, two in (steps[:2], steps[2:])]
    return _Flat(
        level,
        np.count_nonzero(at_level) / num_counted,
        others.size / num_counted,
        len(np.unique(np.round(whole))),
        whole.size / num_counted,
        max(turns) / max(1, int(np.count_nonzero(edge))),
        faint,
    )


def _level(values: np.ndarray, low: float, high: float) -> float:
    """Return the value around which most of the others lie, between two that differ."""
    bins = np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return float(np.median(values[bins == np.bincount(bins.ravel()).argmax()]))


def _is_whole(values: np.ndarray) -> np.ndarray:
    """Mark whole numbers, but for the error of resampling."""
    whole: np.ndarray = np.abs(values - np.round(values)) <= 1e-3
    return whole


def _in_pieces(planes: np.ndarray, values: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether voxels are whole numbers that are mostly those of their neighbours.

    Args:
        planes: Voxels [N, Y, Z].
        values: Which there are [V].
        counts: How often each stands among some of them [V].
    """
    if (values != np.round(values)).any():
        return False
    background = values[counts.argmax()]
    for one, other in ((planes[:, 1:], planes[:, :-1]), (planes[:, :, 1:], planes[:, :, :-1])):
        counted = (one != background) | (other != background)
        if np.count_nonzero(counted & (one == other)) < MIN_EQUAL * max(1, int(np.count_nonzero(counted))):
            return False
    return True


def _without_repeats(planes: np.ndarray) -> np.ndarray:
    """Take the rows and columns of planes [N, Y, Z] that differ from the one before them."""
    rows = np.append(True, (planes[:, 1:] != planes[:, :-1]).any(axis=(0, 2)))
    columns = np.append(True, (planes[:, :, 1:] != planes[:, :, :-1]).any(axis=(0, 1)))
    return planes[:, rows][:, :, columns]


def _planes(data: np.ndarray) -> np.ndarray:
    """Take some planes of voxels [N, Y, Z], those that lie together in memory."""
    order = np.argsort([-abs(stride) for stride in data.strides], kind="stable")
    return data.transpose(order)[:: -(-data.shape[order[0]] // NUM_PLANES)]
