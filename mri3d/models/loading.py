"""Load fitted models from their folders, by an explicit table: no code is run that is not here or trusted by name."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mri3d.arguments import checked
from mri3d.errors import UserError
from mri3d.model_card import FAILURES, printable, reason_of
from mri3d.model_folder import CARD, Contents, read_model
from mri3d.model_places import model_folders
from mri3d.models.beside_scans import example_session
from mri3d.models.classical.models import CLASSICAL
from mri3d.models.ensemble import ENSEMBLE, Ensemble, parts_of
from mri3d.models.harmonized import HarmonizedModel, parted
from mri3d.models.member import Member
from mri3d.models.model import FittedModel, Model
from mri3d.models.network.cnn import CNN
from mri3d.models.trained import TrainedModel
from mri3d.shortage import is_out_of_memory
from mri3d.volumes.described import Described
from mri3d.volumes.sequence import InMemory

MODELS: dict[str, type[Model]] = {CNN.name: CNN, **{model.name: model for model in CLASSICAL}}


@checked
def load(path: str | Path, *, trust: str | Sequence[str] = ()) -> TrainedModel:
    """Load what a training left: all models of a run, which vote, or one fold's.

    Args:
        path: A run, its `model` folder, or one fold's folder.
        trust: Dotted names of networks of your own that may be imported to build the model.

    Raises:
        UserError: There is no model, it is damaged or of another version, the folds' models do not fit together, or it
            needs a network that is not trusted.

    >>> import tempfile
    >>> import numpy as np
    >>> from mri3d import Study, fit, models
    >>> study = Study.from_arrays(np.random.default_rng(0).random((12, 7, 8, 9)), labels=["a", "b"] * 6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit(study, models.KNN(k=3, num_components=0.9, inner_folds=2)).save(folder)
    ...     load(folder).outcome.names
    ('a', 'b')
    """
    path, trusted = Path(path), [trust] if isinstance(trust, str) else list(trust)
    folders = model_folders(path)
    members = tuple(_load_member(folder, trusted) for folder in folders)
    cards = [member.card for member in members]
    first, shapes = cards[0], {card.reference.mean.shape for card in cards}
    columns = {None if (encoder := member.model.encoder) is None else encoder.names for member in members}
    if (
        len(shapes) > 1
        or len(columns) > 1
        or any((card.outcome, card.recipe) != (first.outcome, first.recipe) for card in cards)
    ):
        raise UserError(f"the models beneath {path} differ in outcome or preprocessing: they are not of one run.")
    if len(columns) > 1:
        raise UserError(f"the models beneath {path} learnt from different covariates: they are not of one run.")
    if (num_runs := len({card.run for card in cards})) > 1:
        raise UserError(
            f"the models beneath {path} are of {num_runs} different runs, and would be taken for the folds of one. "
            "Copy the models of one run again."
        )
    if folders != [path] and len(members) != first.num_folds:  # a folder that is itself a model may be one of several
        raise UserError(
            f"{path} holds the models of {len(members)} of its {first.num_folds} folds. Go on with the run "
            "(python train.py resume=...), or name one fold's folder."
        )
    if folders != [path] and sorted(card.fold for card in cards) != list(range(len(cards))):
        raise UserError(f"{path} holds the model of one fold more than once. Copy the models of the run again.")
    return TrainedModel(members)


def _load_member(folder: Path, trust: Sequence[str]) -> Member:
    """Load one model folder."""
    contents = read_model(folder)
    writer = printable(contents.card.facts.get("mri3d", "?"), length=40)
    whole = str(contents.arguments.get("model")) if contents.model == ENSEMBLE else contents.model
    if whole not in MODELS:
        kind = printable(whole, length=40)
        raise UserError(
            f"{folder} holds a model {kind!r}, unknown here (known: {', '.join(MODELS)}). "
            f"It was written by mri3d {writer}: use that version or a newer one."
        )
    try:
        member = Member(_fitted(contents, trust), contents.card)
        _check_prediction(member)
        return member
    except UserError as error:
        raise UserError(f"{folder / CARD}: {error.text}") from error
    except (*FAILURES, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{folder} does not fit this version of mri3d ({reason_of(error)}), as its {CARD} describes it. "
            f"It was written by {writer}: use that version."
        ) from error


def _fitted(contents: Contents, trust: Sequence[str]) -> FittedModel:
    """Build a fitted model, or the fits of an ensemble; around it, what was harmonised."""
    contents, combats = parted(contents)
    if combats:
        return HarmonizedModel(_fitted(contents, trust), combats)
    if contents.model == ENSEMBLE:
        return Ensemble(tuple(_fitted(part, trust) for part in parts_of(contents)))
    return MODELS[contents.model].load(contents, trust=trust)


def _check_prediction(member: Member) -> None:
    """Predict the average training volume: what does not go together in a model folder shows here, before any scan.

    Raises:
        ValueError: What comes out is no prediction of the outcome; other errors are those of the computation.
    """
    mean, num_classes = member.card.reference.mean, len(member.card.outcome.words.value_titles())
    with np.errstate(all="ignore"):  # what is not finite is told of each scan
        volumes, encoder = InMemory(mean[None]), member.model.encoder
        known = volumes if encoder is None else Described(volumes, example_session(encoder, 1))
        found = member.model.predict(known, np.arange(1))
    if found.shape != ((1, num_classes) if num_classes else (1,)):
        raise ValueError("it gives no prediction of its outcome")
