"""How to read what all pages show: heatmaps, sides, and what none of it is made for."""

from collections.abc import Sequence

from mri3d.report.elements import Html, element

_ONE_SIGN = (
    "A heatmap shows where the model found evidence for the class: the brighter, the more, relative to the strongest "
    "place in the same scan."
)
_TWO_SIGNS = (
    "A heatmap shows where the scan changes the predicted value: warm colours raise it and cool colours lower it, "
    "compared with the average training scan and relative to the strongest place in the same scan."
)
_LIMITS = (
    " It does not show disease or a cause, and a strong colour does not mean a reliable prediction. L and R are the "
    "subject's left and right, A and P front and back."
)
_METHODS = (
    "Integrated gradients show where the scan differs from the average training scan in a way that changes the "
    "prediction. Grad-CAM combines whole feature maps of the network: it is coarser, and cannot show that something is "
    "missing in one place."
)
_RESEARCH_ONLY = "For research only: not for decisions about patients."


def reading_section(texts: Sequence[str], *, signed: bool, methods: bool = False) -> list[Html]:
    """Explain how a page is to be read.

    Args:
        texts: On the scores or predictions, from the outcome.
        signed: Whether heatmaps have both signs, see `Outcome.signed`.
        methods: Whether to explain the kinds of heatmaps too.
    """
    heatmaps = (_TWO_SIGNS if signed else _ONE_SIGN) + _LIMITS
    items = [*texts, heatmaps, *([_METHODS] if methods else []), _RESEARCH_ONLY]
    return [element("h2", "How to read this"), element("ul", *(element("li", text) for text in items))]
