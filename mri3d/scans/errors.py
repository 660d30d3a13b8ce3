"""The refusal of a scan."""

from mri3d.errors import UserError


class ScanError(UserError):
    """A scan that cannot be used; the message names the file, the fact and what to do."""
