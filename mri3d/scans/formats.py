"""What files of scans are called: endings, names without them, and the two halves of a .hdr/.img pair."""

import os
from pathlib import Path

from mri3d.scans.errors import ScanError

SCAN_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".mgh.gz", ".img", ".img.gz")
"""In lower case. Of a .hdr/.img pair the image stands for both, so that nothing lists it twice."""

HEADER_ENDINGS = (".hdr", ".hdr.gz")
_PARTNERS = {".hdr": ".img", ".img": ".hdr"}


def scan_name(path: Path) -> str:
    """Return a scan's file name without its ending, in whatever case that is written.

    >>> scan_name(Path("study/sub-01_T1w.nii.gz")), scan_name(Path("SUB-02.NII.GZ"))
    ('sub-01_T1w', 'SUB-02')
    """
    name = Path(path).name
    lower = name.lower()
    endings = (ending for ending in (*SCAN_ENDINGS, *HEADER_ENDINGS) if lower.endswith(ending))
    return name[: len(name) - len(max(endings, key=len, default=""))]


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that make up a scan: itself, or header and image of a pair, which either of them names.

    Args:
        path: Any file of the scan.

    Returns:
        One path, or the header's and the image's.

    Raises:
        ScanError: One half of a pair lies there without the other.
    """
    path = Path(path)
    stem, packed = (path.name[:-3], path.name[-3:]) if path.name.lower().endswith(".gz") else (path.name, "")
    ending = stem[-4:]
    if ending.lower() not in _PARTNERS or not os.path.lexists(path):
        return (path,)
    wanted = _PARTNERS[ending.lower()]
    other = wanted.upper() if ending.isupper() else wanted
    candidates = [path.with_name(stem[:-4] + other + end) for end in dict.fromkeys((packed, "", ".gz"))]
    partner = next((one for one in candidates if os.path.lexists(one)), None)
    if partner is None:
        what = "header" if wanted == ".hdr" else "image"
        raise ScanError(
            f"{path} is one half of a .hdr/.img pair, and its {what} {candidates[0].name} does not lie beside it. Copy "
            "both."
        )
    return (path, partner) if wanted == ".img" else (partner, path)
