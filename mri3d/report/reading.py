"""How to read what all pages show: heatmaps, sides, and what none of it is made for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mri3d.report.elements import Html, element

if TYPE_CHECKING:
    from mri3d.outcome import Words

_LIMITS = (
    " It does not show disease or a cause, and a strong colour does not mean a reliable prediction. L and R are the "
    "subject's left and right, A and P front and back."
)
GRADCAM = (
    "Grad-CAM combines whole feature maps of the network. It is coarse, and its strongest place can lie far from what "
    "decided: on the demo cohort 74 to 115 mm away with resnet18 at an AUC of 1.0, for brighter regions as for darker "
    "ones, where that of integrated gradients lay 6 to 11 mm away."
)
"""What everybody who looks at Grad-CAM must know."""
_METHODS = (
    "Integrated gradients show where the scan differs from typical training scans in a way that changes the "
    f"prediction. {GRADCAM}"
)
_RESEARCH_ONLY = "For research only: not for decisions about patients."


def reading_section(texts: Sequence[str], words: Words, *, methods: bool = False) -> list[Html]:
    """Explain how a page is to be read.

    Args:
        texts: On the scores or predictions, from the outcome.
        words: Of the outcome: what its heatmaps show.
        methods: Whether to explain the kinds of heatmaps too.
    """
    items = [*texts, words.heatmap_reading() + _LIMITS, *([_METHODS] if methods else []), _RESEARCH_ONLY]
    return [element("h2", "How to read this"), element("ul", *(element("li", text) for text in items))]
