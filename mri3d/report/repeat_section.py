"""The command that repeats a run, for its report."""

from collections.abc import Sequence

from mri3d.report.elements import Html, element
from mri3d.report.run_facts import and_text
from mri3d.version import __version__


def repeat_section(command: str, *, folder: str = "", needed: Sequence[str] = ()) -> list[Html]:
    """Show the command, and say what else must be the same.

    Args:
        command: For a shell; empty for none.
        folder: That the run was started in.
        needed: What is looked for from there: options whose paths are relative, and modules.
    """
    if not command:
        return []
    here = ""
    if needed:
        verb = "is" if len(needed) == 1 else "are"
        here = f" Start it in {folder}, from where {and_text(needed)} {verb} looked for."
    same = (
        f"It makes a new run with these settings and this seed, by mri3d {__version__}, on the scans and the table as "
        f"they are by then.{here} On a CPU the predictions are the same to the last digit on the same machine, with "
        "the same versions of the software and the same number of threads (OMP_NUM_THREADS); on a GPU they may differ "
        "a little."
    )
    return [element("h2", "The command that repeats this run"), element("pre", command), element("p", same)]
