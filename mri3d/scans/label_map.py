"""Tell masks and label maps, whose numbers are names, from scans."""

import numpy as np

# Of the pairs of neighbours: 0.71 to 0.93 in label maps and masks, 0.03 to 0.3 in scans (DLMUSE and IXI at 2 mm,
# OpenNeuro ds002748, MNI152), 0.5 in a scan that was doubled in size by repeating its voxels.
MIN_EQUAL = 0.6
MANY = 10  # values: fewer that are not 0, 1, 2 ... may be a drawing of a head
NUM_PLANES = 16  # looked at; all of the voxels would take longer than all else


def what_labels(data: np.ndarray) -> str:
    """Return "a mask" or "a label map" where the voxels are labels, and nothing where they are intensities.

    Labels are whole numbers, 0, 1, 2 ... or many of them, and neighbours are mostly equal; the noise of a scan makes
    them differ. The value that stands most often is that of the background, and does not count.

    Args:
        data: Voxels [X, Y, Z], finite, any real type and axis order.
    """
    order = np.argsort([-abs(stride) for stride in data.strides], kind="stable")
    planes = data.transpose(order)[:: -(-data.shape[order[0]] // NUM_PLANES)]
    values, counts = np.unique(planes[:, ::3, ::3], return_counts=True)
    if len(values) <= 2 and np.isin(data, values).all():
        return "a mask"
    named = len(values) >= MANY or np.array_equal(values, np.arange(len(values)))
    if not named or (values != np.round(values)).any():
        return ""
    background, shares = values[counts.argmax()], []
    for one, other in ((planes[:, 1:], planes[:, :-1]), (planes[:, :, 1:], planes[:, :, :-1])):
        counted = (one != background) | (other != background)
        shares.append(float(np.count_nonzero(counted & (one == other))) / max(1, int(np.count_nonzero(counted))))
    return "a label map" if min(shares) >= MIN_EQUAL else ""
