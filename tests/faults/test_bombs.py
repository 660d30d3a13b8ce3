"""Ten bombs, each read in a process of its own: refused by name within a second and 200 MB."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from mri3d.scans.layout import FREE_BYTES, MAX_BYTES, MAX_RATIO
from mri3d.scans.nifti import nifti_layout
from tests.faults.bombs import header, quick_bombs, slow_bombs, write_bombs

SECONDS, MEGABYTES = 1.0, 200

READ = """
import json, resource, sys, time
from pathlib import Path
from mri3d.scans.scan import ScanError, read_scan
megabytes = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for path in map(Path, sys.argv[1:]):
    before, began = megabytes(), time.process_time()
    try:
        told = f"read {read_scan(path).data.shape}"
    except ScanError as error:
        told = str(error)
    print(json.dumps([path.name, told, time.process_time() - began, megabytes() - before]))
"""


def read_apart(paths):
    """Read files in a process of their own: what was said, seconds and the growth of the peak in MB, by name."""
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True, check=True)
    return {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("number", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_bombs_are_refused_from_the_header(tmp_path, number):
    wanted = write_bombs(tmp_path, quick_bombs() | (slow_bombs() if number > 3 else {}))
    assert len(wanted) == number
    for name, (told, seconds, megabytes) in read_apart([tmp_path / name for name in wanted]).items():
        assert told.startswith(f"{tmp_path / name} "), told
        assert wanted[name] in told
        assert seconds <= SECONDS, name
        assert megabytes <= MEGABYTES, name


@pytest.mark.parametrize(
    ("sides", "dtype", "slope"),
    [
        ((512, 512, 512), "f8", np.nan),  # a head at half a millimetre
        ((512, 512, 512), "f4", 2),
        ((640, 640, 640), "i2", 0.5),  # 7 T at 0.35 mm
        ((640, 880, 880), "i2", 0.5),  # the whole head at a quarter of a millimetre
    ],
)
def test_the_largest_real_heads_are_within_the_limits(tmp_path, sides, dtype, slope):
    layout = nifti_layout(tmp_path / "x.nii", header(sides, dtype, scl_slope=slope, scl_inter=0)[:348], paired=False)
    assert layout.memory_bytes == np.prod(sides) * (np.dtype(dtype).itemsize + (0 if dtype == "f4" else 4))
    assert layout.memory_bytes <= MAX_BYTES


def test_a_head_of_zeros_is_read_up_to_a_size_whatever_its_compression(tmp_path):
    data = np.zeros((256, 256, 256), np.uint8)
    data[60:200, 60:200, 60:200] = 90
    image = nib.Nifti1Image(data, np.diag([1, 1, 1, 1]))
    image.header["scl_slope"], image.header["scl_inter"] = 2, 0
    image.to_filename(tmp_path / "x.nii.gz")
    assert data.size > MAX_RATIO * (tmp_path / "x.nii.gz").stat().st_size
    assert 5 * data.size < FREE_BYTES
    ((told, _, megabytes),) = read_apart([tmp_path / "x.nii.gz"]).values()
    assert told == "read (256, 256, 256)"
    assert megabytes < 250
