"""What a model says of one scan."""

from dataclasses import dataclass, replace

import numpy as np

from mri3d.scans.scan import Scan


@dataclass(frozen=True, eq=False)
class ScanPrediction:
    """What a model says of one scan.

    Attributes:
        name: What the scan is called.
        prediction: Probabilities [K], or a value [], of all members together; None where the scan could not be used.
        spread: How far the members differ; None for one.
        status: "ok", "unusual" where the scan is unlike every training scan, or "failed" where it could not be used.
        warnings: What to know about the scan; why, where it could not be used.
        scan: The scan as it was read.
        volume: What the model saw, float32 [C, X, Y, Z].
    """

    name: str
    prediction: np.ndarray | None
    spread: float | None = None
    status: str = "ok"
    warnings: tuple[str, ...] = ()
    scan: Scan | None = None
    volume: np.ndarray | None = None

    def warned(self, *warnings: str) -> "ScanPrediction":
        """Return the prediction with more warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))
