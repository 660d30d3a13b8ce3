"""`python -m mri3d` is the command `mri3d`."""

import sys

from mri3d.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
