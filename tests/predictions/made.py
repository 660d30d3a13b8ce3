"""What a folder of predictions holds."""

from mri3d.predictions.written import LIST


def contents(out):
    """Return the files of a folder but the list, by path."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != LIST
    }
