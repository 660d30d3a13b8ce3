"""Predict new scans with a trained model: `python predict.py --help`."""

import sys

from mri3d.cli.main import main

if __name__ == "__main__":
    sys.exit(main("predict"))
