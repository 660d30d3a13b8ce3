"""What ends a fit by Lightning before its time, raised as what it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric.utilities.exceptions import MisconfigurationException

from mri3d.errors import UserError
from mri3d.models.network.checkpoint_file import unusable
from mri3d.models.network.checkpoints import FitCheckpoints
from mri3d.models.network.stopping import Stopping
from mri3d.shortage import is_out_of_memory


@contextmanager
def named_misuse() -> Iterator[None]:
    """Pass on as the user's mistake what Lightning finds in its arguments only once it trains."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"the trainer cannot train as it is set: {' '.join(str(error).split())}") from error


@contextmanager
def named_resumption(checkpoints: FitCheckpoints, stopping: Stopping) -> Iterator[None]:
    """Name the checkpoint that a fit cannot go on from, whatever it was that Lightning or torch stumbled over in it."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        if checkpoints.resumed is None or stopping.begun or is_out_of_memory(error):
            raise
        raise unusable(checkpoints.resumed, "cannot be gone on from", error) from error


@contextmanager
def named_interrupts() -> Iterator[None]:
    """Pass an interrupt on: Lightning tidies up after it and exits with status 1."""
    try:
        yield
    except SystemExit as exit:
        if isinstance(exit.__context__, KeyboardInterrupt):
            raise exit.__context__ from None
        raise
