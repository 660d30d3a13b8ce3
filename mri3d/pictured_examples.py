"""Questions about sessions of a study, and pictures of some that show what a model goes by."""

import logging

import numpy as np

from mri3d.cohort.people import session_word
from mri3d.cohort.variables import Variables
from mri3d.explain.evidence import Question
from mri3d.models.trained import TrainedModel
from mri3d.outcome.outcome import Example
from mri3d.report.figures import HeadView, slices
from mri3d.report.picture import Picture
from mri3d.scans.scan import ScanError
from mri3d.study import Study
from mri3d.viewed_scans import scan_of

log = logging.getLogger(__name__)


def question(study: Study, trained: TrainedModel, row: int, target: int, covariates: Variables | None) -> Question:
    """Ask a model about a session of the study, in the model's default way, for a page: see `Question.quick`.

    Args:
        study: Of the session.
        trained: The model, which has heatmaps.
        row: Of the session.
        target: What is to be explained, see `Outcome.contrast`.
        covariates: Of all sessions; None where the model has none.
    """
    known = None if covariates is None else covariates.taking(np.array([row]))
    return Question(study.volumes[row], target, trained.method(None), known, quick=True)


def example_picture(
    study: Study, trained: TrainedModel, row: int, example: Example, *, covariates: Variables | None, mapped: bool
) -> Picture | None:
    """Draw an example on its scan, with the evidence for what it is an example of.

    Args:
        study: Of the session.
        trained: The model.
        row: Of the session.
        example: What is true of it, and what was predicted.
        covariates: Of all sessions; None where the model has none.
        mapped: Whether its heatmaps may be shown.

    Returns:
        The picture; None where the scan is gone.
    """
    assert study.recipe is not None, "it has scans"
    try:
        scan, heat = scan_of(study, row), None
    except (ScanError, OSError) as error:
        log.warning("%s cannot be pictured: %s", study.ids[row], error)
        return None
    caption = f"{session_word(study.cohort).capitalize()} {study.ids[row]} {example.caption}"
    if mapped:
        try:
            asked = question(study, trained, row, example.target, covariates)
            heat = trained.evidence(asked, inside=study.recipe.inside(scan)).heat
            caption += f". Colour: {example.evidence}, compared with typical training scans"
        except Exception as error:  # of a network of the user's own, or for other sites than the tested one
            caption += f". Without a heatmap: {first_sentence(error)}"
    high, low = study.outcome.words.evidence(example.target)
    view = HeadView(study.volumes[row][0], study.recipe.affine(scan), heatmap=heat, high=high, low=low)
    return slices(view, alt=f"{caption}.", caption=f"{caption}.")


def first_sentence(error: Exception) -> str:
    """Write the first sentence of what went wrong."""
    text = str(error).partition(". ")[0].rstrip(".")
    return " ".join(text.split()) or type(error).__name__
