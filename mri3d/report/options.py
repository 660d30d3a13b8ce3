"""What users decide about the page of a run."""

from dataclasses import dataclass

from mri3d.arguments import check_fields


@dataclass(frozen=True)
class ReportOptions:
    """How the page of a run, or of predictions, is made.

    Attributes:
        faces: Whether whole heads may be rendered in 3D, which shows faces; else there are slices of them only. Brains
            alone are always rendered.
    """

    faces: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "report")
