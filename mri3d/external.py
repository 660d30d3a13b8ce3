"""External validation: a finished model and labelled people whom it never saw in; how good it is on them out."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mri3d.cohort.noticed import ages_of, known_variables
from mri3d.csv_files import write_csv
from mri3d.errors import UserError, option
from mri3d.evaluation.external_results import SEEN, Validation
from mri3d.evaluation.own_tests import own_scores
from mri3d.evaluation.validation import FrozenTests
from mri3d.external_people import study_of
from mri3d.files import write_json
from mri3d.model_places import check_replaceable
from mri3d.models.acquaintance import Acquaintance
from mri3d.models.beside_scans import known_of_sessions
from mri3d.models.member import votes
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.models.taught import ages_of_training, people_text
from mri3d.models.trained import TrainedModel
from mri3d.outcome.measure_words import value_text
from mri3d.parallel import map_threads, one_thread_each
from mri3d.study import Study
from mri3d.texts import list_text, number_text
from mri3d.volumes.described import Described

log = logging.getLogger(__name__)

_TOLD = {
    "unusual": "unlike all that were trained on, see predictions.csv",
    "outside": "outside of what the model was trained on, and scored all the same (predict would not predict them)",
}

TABLE, METRICS, REPORT = "predictions.csv", "metrics.json", "report.html"


def validate_model(
    model: TrainedModel,
    study: Study,
    *,
    prevalence: object = None,
    threshold: object = None,
    allow_seen: bool = False,
    folder: Path | None = None,
) -> Validation:
    """Hold what a model predicts of people against their labels; the model stays as it is.

    Args:
        model: The model.
        study: People who are labelled with what the model predicts. Volumes are made anew where their recipe is not
            the model's.
        prevalence: How frequent the second of two classes is where the model is to be used, or each class by its name:
            predictive values are for it, and as frequent as in the study unless it is given. Probabilities stay as the
            model has them.
        threshold: What class is predicted by the probabilities, see `TrainedModel.predict`.
        allow_seen: Whether sessions that the model was trained on are left out of the scores, instead of refused.
        folder: Where the model was loaded from, for the scores of its own test.

    Raises:
        UserError: The labels are not what the model predicts, an option cannot be used with it, the model has seen some
            of the scans, or no session is left to be scored.
    """
    model, stated = resolve(model, prevalence=prevalence, threshold=threshold)
    study = study_of(model, study)
    study.volumes.fill()
    met = _acquaintances(model, study)
    _check_unseen(study, met, allow_seen=allow_seen)
    found = _predicted(model, study, met)
    for status, what in _TOLD.items():
        if named := [each.name for each in found if each.status == status]:
            log.warning("%s %s: %s", number_text(len(named), "session", "is", "are"), what, list_text(named, ", "))
    _tell_ages(model, study)
    rows = np.flatnonzero([each.prediction is not None and each.status != SEEN for each in found])
    if not len(rows):
        raise UserError("no session is left that could be scored: the model has seen all of them, or can use none.")
    predictions = np.stack([each.prediction for row in rows if (each := found[row]).prediction is not None])
    shares = [member.card.shares for member in model.members]
    learnt = np.mean([each for each in shares if each is not None], axis=0) if None not in shares else None
    tests = FrozenTests(
        model.outcome,
        study.targets[rows],
        predictions,
        study.groups[rows],
        known_variables(study.cohort, rows),
        stated,
        learnt if model.deciding.prevalence is None else model.deciding.prevalence,
    )
    if lacking := model.outcome.lacking(tests.targets):
        log.warning("%s: scores that need it are left empty", lacking)
    return Validation(model, study, found, rows, tests, own_scores(model, folder))


def resolve(
    model: TrainedModel, *, prevalence: object = None, threshold: object = None
) -> tuple[TrainedModel, Mapping[str, float] | None]:
    """Return a model with a threshold, and how frequent each class is said to be; as for `validate_model`.

    Raises:
        UserError: An option cannot be used with the model.
    """
    model = model.with_options(threshold=threshold)
    return model, None if prevalence is None else model.outcome.options.prevalence(prevalence)


def check_out(out: Path) -> None:
    """Refuse a folder in which something would be replaced.

    Raises:
        UserError: It is a run or a model, or holds one of the files that are to be written.
    """
    check_replaceable(out)
    names = [out / name for name in (TABLE, METRICS, REPORT)]
    if there := [str(path) for path in names if path.exists() or path.is_symlink()]:
        verb, them = ("is", "it") if len(there) == 1 else ("are", "them")
        raise UserError(
            f"{list_text(there, ', ')} {verb} there already, and would be replaced. Remove {them}, or set another "
            f"{option('out')}."
        )


def write_validation(validation: Validation, out: Path, *, model: str, began: float) -> None:
    """Write `predictions.csv`, `metrics.json` and `report.html`.

    Args:
        validation: What was found.
        out: The folder, see `check_out`.
        model: What the page calls the model.
        began: When the validation began, by `time.perf_counter`.
    """
    from mri3d.report.shown_tests import ShownTests
    from mri3d.report.validation_page import write_validation_page  # here: the library needs no charts

    rows = validation.table_rows()
    write_csv(out / TABLE, rows, list(rows[0]))
    metrics = validation.metrics(seconds=time.perf_counter() - began)
    write_json(out / METRICS, metrics)
    trained, cohort, tests = validation.model, validation.study.cohort, validation.tests
    write_validation_page(
        out / REPORT,
        facts={
            "model": model,
            "people": cohort.describe(trained.outcome.words.describe(validation.study.targets)),
            "models that voted": str(len(trained.members)),
            **({"trained on": taught} if (taught := people_text(trained.members)) else {}),
            **trained.deciding.facts,
            "time": f"{metrics['seconds']['total']:.0f} s",
        },
        outcome=trained.outcome,
        metrics=metrics,
        tests=ShownTests(tests.targets, tests.predictions, subjects=[rows[row]["subject"] for row in validation.rows]),
        cohort=cohort.to_rows(),
        sessions=[{name: "" if cell is None else cell for name, cell in row.items()} for row in rows],
        knows_training=all(member.card.training or member.card.fingerprints for member in trained.members),
    )


def _tell_ages(model: TrainedModel, study: Study) -> None:
    """Warn of sessions whose age nobody had whom the model learnt from."""
    ages, known = ages_of(study.cohort, label=study.outcome.name), ages_of_training(model.members)
    if ages is None or known is None:
        return
    low, high = known
    if named := [study.ids[row] for row in np.flatnonzero((ages < low) | (ages > high))]:
        told = number_text(len(named), "session", "is of an age", "are of ages")
        ends = f"{value_text(low)} to {value_text(high)}"
        log.warning("%s that nobody had in training (%s): %s", told, ends, list_text(named, ", "))


def _acquaintances(model: TrainedModel, study: Study) -> list[Acquaintance]:
    """Find out of each session whether the model has seen it, by the digest of its voxels and by its volume."""
    members, voxels = model.members, study.cohort.voxels
    traits = [session.traits for session in study.cohort.taking_part.sessions]

    def met(row: int) -> Acquaintance:
        return Acquaintance.of_voxels(members, voxels[row], traits[row], study.volumes[row])

    rows = range(len(study.volumes))
    with one_thread_each(len(rows)):
        return map_threads(met, rows, what="comparing with the training scans")


def _check_unseen(study: Study, met: Sequence[Acquaintance], *, allow_seen: bool) -> None:
    """Refuse sessions that the model was trained on, or warn that they are not scored.

    Raises:
        UserError: There are some, and `allow_seen` is off.
    """
    known = [(f"{name} {each.known}", each.seen) for name, each in zip(study.ids, met, strict=True) if each.known]
    if told := [text for text, seen in known if seen]:
        of_all = f"{len(told)} of {number_text(len(met), 'session')}"
        if not allow_seen:
            raise UserError(
                f"the model has seen the scans of {of_all}: {list_text(told)}. What it predicts of them says nothing "
                "of how it does on people whom it never saw. Take them out of the table, or set "
                f"{option('allow_seen', True)}: then they are predicted, and left out of the scores."
            )
        log.warning("%s are predicted and not scored, as the model has seen their scans: %s", of_all, list_text(told))
    if maybe := [text for text, seen in known if not seen]:
        log.warning("look at these, which are scored: %s", list_text(maybe))


def _predicted(model: TrainedModel, study: Study, met: Sequence[Acquaintance]) -> tuple[ScanPrediction, ...]:
    """Predict all sessions by all members, as `TrainedModel.predict_scan` does one scan."""
    sessions, found = study.cohort.taking_part.sessions, list[ScanPrediction]()
    columns = [session.known for session in sessions]
    encoders = [member.model.encoder for member in model.members]
    variables, problems, known = known_of_sessions(encoders, columns, study.ids)
    volumes = study.volumes if variables is None else Described(study.volumes, variables)
    with np.errstate(all="ignore"):  # what is not finite is told below
        each = votes(model.members, volumes).swapaxes(0, 1)
    for row, (session, of_members, its, beside) in enumerate(zip(sessions, each, met, known, strict=True)):
        warnings = (*session.warnings, *filter(None, [its.strange, its.known]), *beside.warnings)
        if row in problems or not np.isfinite(of_members).all():
            told = (problems.get(row, "the model computes no finite number for this scan."), *warnings)
            found.append(ScanPrediction(session.id, None, status="failed", warnings=told, seen=its.seen))
            continue
        moved = model.deciding.moved(of_members)
        found.append(
            ScanPrediction(
                session.id,
                moved.mean(axis=0),
                spread=model.outcome.spread(moved) if len(model.members) > 1 else None,
                status=SEEN if its.seen else "unusual" if its.status == "ok" and beside.strange else its.status,
                warnings=warnings,
                seen=its.seen,
            )
        )
    return tuple(found)
