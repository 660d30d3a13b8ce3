"""Predict new scans with a trained model: `python predict.py --help`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mri3d.cli.overrides import exit_status, hydra_overrides, run_script
from mri3d.errors import UserError


@dataclass
class Schema:
    """The keys of a prediction; anything else is refused."""

    model: str = "???"
    scans: Any = "???"
    out: str = "results"
    heatmap: str = "integrated_gradients"
    debug: bool = False


HELP = """Predict new scans with a trained model.

  model=runs/x/y      a run, its model folder, or one fold's folder
  scans='/new/*.nii'  a file, a glob, a folder (searched through), a BIDS root, or a list '[a.nii,b.nii]'
  out=results         where to write predictions.csv, heatmaps/ and report.html
  heatmap=integrated_gradients
                      what differs from the average training scan and counts; or gradcam (coarser), or none
  debug=false         show the traceback of an error

Examples:
  python predict.py model=runs/demo-sfcn-50/2030-01-31_12-00-00 scans='/new/*.nii.gz' out=results
  python predict.py model=runs/x/y scans=/bids out=results heatmap=none
"""
HYDRA = {  # in Python and not in conf/, where `model` is a group
    "defaults": ["schema", {"override hydra/job_logging": "stdout"}, "_self_"],
    "hydra": {
        "run": {"dir": "."},
        "output_subdir": None,
        "job_logging": {"handlers": {"console": {"stream": "ext://sys.stderr"}}},
        "help": {"app_name": "mri3d", "template": HELP},
    },
}


def predict(options: dict[str, Any]) -> int:
    """Predict with the options; return the exit status."""
    from mri3d import inference

    scans = options["scans"]
    if not all(isinstance(scan, str) for scan in (scans if isinstance(scans, list) else [scans])):
        raise UserError(f"scans={scans} is no path. Give a file, a glob, a folder, a BIDS root, or a list of these.")
    out = Path(options["out"])
    status = inference.run(Path(options["model"]), scans, out, heatmap=options["heatmap"])
    print(f"predictions {out / 'predictions.csv'}", f"report      {out / 'report.html'}", sep="\n", flush=True)
    return status


def compose(arguments: list[str]) -> int:
    """Let Hydra read the options, and predict."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, so that all errors look alike
    import hydra
    from hydra.core.config_store import ConfigStore
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import MissingMandatoryValue

    ConfigStore.instance().store("schema", Schema)
    ConfigStore.instance().store("predict", HYDRA)
    statuses = [0]

    @hydra.main(version_base="1.3", config_path=None, config_name="predict")  # type: ignore[untyped-decorator]
    def job(config: DictConfig) -> None:
        def execute() -> int:
            try:
                return predict(cast(dict[str, Any], OmegaConf.to_container(config, throw_on_missing=True)))
            except MissingMandatoryValue as error:
                raise UserError(f"{error.full_key} is not set. Give {error.full_key}=...") from error

        statuses.append(exit_status(execute, debug=config.debug))

    sys.argv[1:] = hydra_overrides(arguments, groups=[], keys=Schema.__dataclass_fields__)
    job()
    return max(statuses)


def main() -> int:
    """Run the command line; return its exit status."""
    arguments = sys.argv[1:]
    return exit_status(lambda: compose(arguments), debug="debug=true" in arguments)


if __name__ == "__main__":
    sys.exit(run_script(main))
