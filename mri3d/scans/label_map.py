"""Tell masks and label maps, whose numbers are names, from scans."""

import numpy as np

# Of the pairs of neighbours: 0.71 to 0.93 in label maps and masks, 0.03 to 0.3 in scans (DLMUSE and IXI at 2 mm,
# OpenNeuro ds002748, MNI152), 0.5 in a scan that was doubled in size by repeating its voxels.
MIN_EQUAL = 0.6
MANY = 10  # values, and as high: a few that are higher may be a drawing of a head
NUM_PLANES = 16  # looked at; all of the voxels would take longer than all else


def what_labels(data: np.ndarray) -> str:
    """Return "a mask" or "a label map" where the voxels are labels, and nothing where they are intensities.

    Labels are whole numbers, low ones or many of them, and neighbours are mostly equal; the noise of a scan makes them
    differ. The value that stands most often is that of the background, and does not count.

    Args:
        data: Voxels [X, Y, Z], finite, any real type and axis order.
    """
    planes = _planes(data)
    values, counts = np.unique(planes[:, ::3, ::3], return_counts=True)
    if len(values) <= 2 and np.isin(data, values).all():
        return "a mask"
    low = values[0] >= 0 and values[-1] <= MANY
    return "a label map" if (low or len(values) >= MANY) and _in_pieces(planes, values, counts) else ""


def label_warnings(data: np.ndarray) -> tuple[str, ...]:
    """List what speaks against intensities in a scan that may be a drawing of a head, one sentence each.

    Args:
        data: As for `what_labels`, which has found nothing.
    """
    planes = _planes(data)
    values, counts = np.unique(planes[:, ::3, ::3], return_counts=True)
    if len(values) >= MANY or not _in_pieces(planes, values, counts):
        return ()
    told = ", ".join(f"{value:g}" for value in values)
    return (f"its values are {told} only, as those of labels are, and not of a scan",)


def _in_pieces(planes: np.ndarray, values: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether voxels are whole numbers that are mostly those of their neighbours.

    Args:
        planes: Voxels [N, Y, Z].
        values: Which there are [V].
        counts: How often each stands among some of them [V].
    """
    if (values != np.round(values)).any():
        return False
    background, shares = values[counts.argmax()], []
    for one, other in ((planes[:, 1:], planes[:, :-1]), (planes[:, :, 1:], planes[:, :, :-1])):
        counted = (one != background) | (other != background)
        shares.append(float(np.count_nonzero(counted & (one == other))) / max(1, int(np.count_nonzero(counted))))
    return min(shares) >= MIN_EQUAL


def _planes(data: np.ndarray) -> np.ndarray:
    """Take some planes of voxels [N, Y, Z], those that lie together in memory."""
    order = np.argsort([-abs(stride) for stride in data.strides], kind="stable")
    return data.transpose(order)[:: -(-data.shape[order[0]] // NUM_PLANES)]
