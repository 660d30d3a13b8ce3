r"""What the report adds to a run in seconds, and how large its page is.

    python benchmarks/report.py name=sex data=table data.root=/ixi data.table=subjects.csv data.id=subject \
        data.label=sex 'data.scan="T1/{id}_T1.nii.gz"' evaluation=kfold
    python benchmarks/report.py --all-maps name=many data.demo.num_subjects=1113 evaluation=kfold trainer.max_epochs=2

Arguments are those of train.py, which is run in this process. With `--all-maps` every tested scan gets its heatmap,
however long that takes: the page is as large then as it can become.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mri3d import kept_models, runs, tested_scans
from mri3d.cli.main import main as run_command
from mri3d.parallel import num_cores

PARTS = {
    "pictures of all scans": (runs, "write_montage"),
    "whether heatmaps can be trusted": (kept_models.ModelKeeper, "_examined"),
    "agreement of the folds' heatmaps": (kept_models.ModelKeeper, "_compare"),
    "tested scans": (tested_scans.TestedScans, "add"),
    "  their heatmaps": (tested_scans.TestedScans, "_evidence"),
    "  their small pictures": (tested_scans.TestedScans, "_tile"),
    "  some to be viewed": (tested_scans.TestedScans, "_view"),
    "  examples on their scans": (tested_scans, "example_picture"),
    "the page": (runs, "write_run_page"),
    "  maps over all tested scans": (tested_scans.TestedScans, "group"),
}

seconds: dict[str, float] = defaultdict(float)


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Add up the time that a function takes."""

    def measured(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (whatever it is)
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds[part] += time.perf_counter() - start

    return measured


def main() -> int:
    """Run a training, and print the table."""
    if "--all-maps" in sys.argv:
        sys.argv.remove("--all-maps")
        tested_scans.SECONDS = 1e6
    for part, (owner, name) in PARTS.items():
        setattr(owner, name, timed(part, getattr(owner, name)))
    start, before = time.perf_counter(), {*Path("runs").rglob("report.html")}
    status = run_command("train")
    whole = time.perf_counter() - start
    print(f"\n{num_cores()} cores; {whole:.0f} s in all, of which")
    for part in PARTS:
        print(f"  {part:36}{seconds[part]:8.1f} s")
    print(f"  {'all of these':36}{sum(seconds[part] for part in PARTS if not part.startswith(' ')):8.1f} s")
    for page in {*Path("runs").rglob("report.html")} - before:
        print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")
    return status


if __name__ == "__main__":
    sys.exit(main())
