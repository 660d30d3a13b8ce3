"""Predict new scans with a trained model: `python predict.py --help`."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mri3d.command_line import exit_status, hydra_overrides
from mri3d.errors import UserError


@dataclass
class Schema:
    """The keys of a prediction; anything else is refused."""

    model: str = "???"
    scans: Any = "???"
    out: str = "results"
    heatmap: str = "gradcam"
    debug: bool = False


def compose(arguments: list[str]) -> int:
    """Let Hydra read the options, and predict."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, so that all errors look alike
    import hydra
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    ConfigStore.instance().store("schema", Schema)
    statuses = [0]

    @hydra.main(version_base="1.3", config_path="conf", config_name="predict")  # type: ignore[untyped-decorator]
    def job(config: DictConfig) -> None:
        from mri3d import inference

        options = cast(dict[str, Any], OmegaConf.to_container(config, throw_on_missing=True))
        scans = options["scans"] if isinstance(options["scans"], list) else str(options["scans"])
        out = Path(options["out"])
        statuses.append(inference.run(Path(options["model"]), scans, out, heatmap=options["heatmap"]))
        print(f"predictions {out / 'predictions.csv'}")
        print(f"report      {out / 'report.html'}")

    sys.argv[1:] = hydra_overrides(arguments, groups=[], keys=Schema.__dataclass_fields__)
    try:
        job()
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is not set. Give {error.full_key}=...") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(" ".join(str(error).split())) from error
    return max(statuses)


def main() -> int:
    """Run the command line; return its exit status."""
    arguments = sys.argv[1:]
    return exit_status(lambda: compose(arguments), debug="debug=true" in arguments)


if __name__ == "__main__":
    sys.exit(main())
