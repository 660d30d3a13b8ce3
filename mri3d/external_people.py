"""People on whom a finished model is validated: their labels are held against the model, its recipe makes volumes."""

from dataclasses import replace

from mri3d.cohort.audit import audit
from mri3d.cohort.cohort import Cohort, CohortSource
from mri3d.errors import UserError, option
from mri3d.models.beside_scans import check_sessions
from mri3d.models.trained import TrainedModel
from mri3d.parallel import one_thread_each
from mri3d.study import Study
from mri3d.texts import list_text
from mri3d.volumes.cache import Volumes
from mri3d.volumes.recipes import check_masks
from mri3d.volumes.while_read import MadeWhileRead


def read_people(model: TrainedModel, source: CohortSource) -> Study:
    """Read the people that a model is to be validated on: their labels are held against the model before their scans.

    Args:
        model: The model, whose recipe makes the volumes.
        source: Where they come from.

    Raises:
        UserError: They, their labels or their scans cannot be used, or the model was trained on arrays.
    """
    recipe = model.require_recipe()
    try:
        found = source.read().in_order()
    except UserError as error:
        for name in model.covariates:
            if error.text.startswith(f"column {name!r} is not in"):
                told = f"the model was trained with {list_text(model.covariates, ', ')} beside the image, and "
                raise UserError(told + error.text.partition(" Set ")[0]) from error
        raise
    check_masks(found, recipe)
    asked = [each for each in found.sessions if each.label is not None and not each.left_out]
    check_sessions([member.model.encoder for member in model.members], [each.known for each in asked])
    _check_labels(model, found, f"column {source.label!r}")
    labelled = [each if each.label is not None else replace(each, scan=None) for each in found.sessions]
    with one_thread_each(len(labelled)):  # volumes are made in as many threads as scans are read in
        cohort = audit(replace(found, sessions=tuple(labelled)), MadeWhileRead(recipe), skip_bad=source.skip_bad)
    if not cohort.ids:
        raise UserError("no session is left: none that has a label has a scan that can be used.")
    return Study(cohort, model.outcome, _volumes(model, cohort), source.suffix)


def study_of(model: TrainedModel, study: Study) -> Study:
    """Return a study as one of what a model predicts, its volumes made by the model's recipe.

    Raises:
        UserError: It is labelled with something else, or its volumes are not what the model takes.
    """
    outcome, cohort = model.outcome, study.cohort
    if study.outcome.task != outcome.task:
        raise UserError(
            f"the model predicts {outcome.noun} ({outcome.name}), and the study is of {study.outcome.noun} "
            f"({study.outcome.name}). Make the study with {option('task', outcome.task)}."
        )
    _check_labels(model, cohort, f"column {study.outcome.name!r}")
    if study.recipe is None:
        wanted = model.members[0].card.reference.mean.shape
        if study.volumes.shape != wanted:
            theirs, ours = (" x ".join(map(str, shape)) for shape in (study.volumes.shape, wanted))
            raise UserError(f"volumes of {theirs} (channels, X, Y, Z) do not fit a model of {ours}.")
        return replace(study, outcome=outcome)
    same = study.recipe == model.require_recipe()
    return replace(study, outcome=outcome, volumes=study.volumes if same else _volumes(model, cohort))


def _check_labels(model: TrainedModel, cohort: Cohort, column: str) -> None:
    """Refuse labels that are not what a model predicts, or none at all.

    Args:
        model: The model.
        cohort: Whose labels they are.
        column: Where they stand, if the cohort does not say it.
    """
    labels = {each.id: each.label for each in cohort.sessions if each.label is not None and not each.left_out}
    source = cohort.source or column
    if not labels:
        raise UserError(
            f"{source} has a label for nobody, and without labels nothing can be said of a model. Set "
            f"{option('data.label')} to the column that has them."
        )
    model.outcome.check_labels(labels, source=source)


def _volumes(model: TrainedModel, cohort: Cohort) -> Volumes:
    """Make volumes of a cohort by a model's recipe."""
    return Volumes(cohort.scans, cohort.digests, model.require_recipe(), ids=cohort.ids)
