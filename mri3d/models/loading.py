"""Load a fitted classifier from its model folder, by an explicit table: no code is run that is not here."""

from pathlib import Path

from mri3d.errors import UserError
from mri3d.model_folder import Card, read_model
from mri3d.models.classical.models import KNN, RBFSVM, LinearSVM, Logistic, Ridge
from mri3d.models.model import Classifier
from mri3d.models.network.cnn import CNN

CLASSIFIERS: dict[str, type[Classifier]] = {
    "cnn": CNN,
    **{model.name: model for model in (Logistic, LinearSVM, RBFSVM, KNN, Ridge)},
}


def load_classifier(folder: Path) -> tuple[Classifier, Card]:
    """Load what a training left.

    Args:
        folder: A model folder.

    Returns:
        The fitted classifier, and what surrounds it.

    Raises:
        UserError: The folder holds no whole model, or one of a kind that this version does not know.
    """
    model = read_model(folder)
    if model.classifier not in CLASSIFIERS:
        raise UserError(
            f"{folder} holds a classifier {model.classifier!r}, unknown here (known: {', '.join(CLASSIFIERS)}). "
            f"It was written by mri3d {model.card.facts.get('mri3d', '?')}: use that version or a newer one."
        )
    try:
        return CLASSIFIERS[model.classifier].load(model), model.card
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")  # torch tells of every tensor
        raise UserError(
            f"{folder} does not fit this version of mri3d ({type(error).__name__}: {reason}). "
            f"It was written by {model.card.facts.get('mri3d', '?')}: use that version."
        ) from error
