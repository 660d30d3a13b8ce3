"""Train and evaluate a model of 3D brain scans: `python train.py --help`."""

import sys

from mri3d.cli.main import main

if __name__ == "__main__":
    sys.exit(main("train"))
