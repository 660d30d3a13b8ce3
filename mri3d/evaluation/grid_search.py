"""A model that is several: each fit chooses one of them by inner folds of its training rows."""

import copy
import itertools
import json
import logging
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.errors import UserError, option
from mri3d.evaluation.folds import Sample
from mri3d.evaluation.splits import KFold
from mri3d.evaluation.variants import variant
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.layers import Layers
from mri3d.explain.trust import SHORT, Form, Trust
from mri3d.files import digest_json, write_json
from mri3d.model_folder import Card, Contents
from mri3d.models.model import Model, Search, Setting, TrainingSet
from mri3d.models.model_texts import options_text
from mri3d.outcome import SCORE_TITLES, Line
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import VolumeSequence

log = logging.getLogger(__name__)


@dataclass
class GridSearch:
    """Variants of a model, of which each fit chooses the one that does best on inner folds of its training rows.

    Args:
        model: What the variants are made of.
        settings: What sets each variant apart: dotted path of an option to its value.
        inner: How the training rows are cut.

    Attributes:
        model_: The chosen variant, fitted on all training rows.
        search_: How it was chosen.

    Raises:
        UserError: The model has no such option, or a value is not one of it.
    """

    model: Model
    settings: Sequence[Setting]
    inner: KFold

    chooses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.variants: list[Model] = [variant(self.model, setting) for setting in self.settings]
        if any("covariates" in setting for setting in self.settings):
            raise UserError(
                f"{option('evaluation.grid')} cannot choose covariates: which columns a model sees is for you to say "
                f"({option('model.covariates')}). Compare runs with different ones by mri3d compare."
            )

    @property
    def name(self) -> str:
        """That of the model."""
        return self.model.name

    def identity(self, *, length: bool = True) -> str:
        """Write how the model is set, what its variants are, and how one of them is chosen."""
        return options_text(self, instead={"model": self.model.identity(length=length)})

    def check(self, training: TrainingSet) -> None:
        """Refuse what a variant cannot learn from, on the whole of it or on an inner fold.

        Raises:
            UserError: As the variants' `check`, a class is too small for the inner folds, or one of them holds out rows
                that cannot be scored.
        """
        trainings = [training, *(inner for inner, _ in self._inner(training))]
        for model, each in itertools.product(self.variants, trainings):
            model.check(each)

    def fit(self, training: TrainingSet) -> None:
        """Choose on the inner folds, and fit what was chosen on all rows.

        What the inner fits leave to go on with is deleted once all are done; the choice is kept beside it, so that a
        run that is cut off later need not choose again.
        """
        name = f"{training.name or 'fold_0'}_inner"
        left = replace(training, name=name).checkpoints
        kept = left.with_suffix(".json")
        identity = self._choice_identity(training)
        search = self._read(kept, identity)
        if search is None:
            search = self._search(training, name=name)
            self._write(kept, search, identity)
        shutil.rmtree(left, ignore_errors=True)
        log.info("chosen: %s", search.chosen)
        self.search_ = search
        self.model_: Model = copy.deepcopy(self.variants[search.best])
        self.model_.fit(training)

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict by the chosen variant."""
        return self.model_.predict(volumes, rows)

    def permuted(self, training: TrainingSet, test_rows: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
        """Choose a variant for each permutation, if the variants are refitted in minutes; see `Model.permuted`.

        An inner fold that cannot be scored under a permutation, since it lacks a class, does not count for it.
        """
        inner, outcome = self._inner(training), training.outcome
        scores = np.full((len(targets), len(self.variants), len(inner)), np.nan)
        for number, model in enumerate(self.variants):
            for fold, (inner_training, held_out) in enumerate(inner):
                predictions = model.permuted(inner_training, held_out, targets)
                if predictions is None:
                    return None
                for which, (truth, each) in enumerate(zip(targets[:, held_out], predictions, strict=True)):
                    if np.isfinite(each).all() and not outcome.lacking(truth):
                        scores[which, number, fold] = outcome.scores(truth, each)[outcome.criterion]
        best = np.array([self._best(each, outcome.criterion) for each in scores])
        found: np.ndarray | None = None
        for number in np.unique(best):
            refits = self.variants[number].permuted(training, test_rows, targets[best == number])
            assert refits is not None, "it was refitted on the inner folds"
            found = np.empty((len(targets), *refits.shape[1:])) if found is None else found
            found[best == number] = refits
        return found

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """Those of the chosen variant."""
        return self.model_.heatmaps

    @property
    def covariates(self) -> str | Sequence[str]:
        """Those of the model."""
        return self.model.covariates

    @property
    def encoder(self) -> Encoder | None:
        """That of the chosen variant."""
        return self.model_.encoder

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Explain by the chosen variant."""
        return self.model_.explain(asked, reference=reference)

    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust | None:
        """Examine the maps of the chosen variant."""
        return self.model_.examined(questions, reference=reference, form=form)

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray | None:
        """Return what the chosen variant decides by."""
        return self.model_.features(volumes, rows)

    def maps(self) -> np.ndarray | None:
        """Return the weights of the chosen variant, if it is linear."""
        return self.model_.maps()

    @property
    def layers(self) -> Layers | None:
        """Those of the chosen variant."""
        return self.model_.layers

    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Compute what layers of the chosen variant give."""
        return self.model_.feature_maps(volume, names, covariates=covariates)

    @property
    def permutes(self) -> bool:
        """Whether the variants are refitted."""
        return self.model.permutes

    @property
    def uses_components(self) -> bool:
        """Whether the variants do."""
        return self.model.uses_components

    @property
    def line(self) -> Line | None:
        """What corrects the predictions of the chosen variant."""
        return self.model_.line

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows that the chosen variant was chosen or calibrated by, and what it predicts of them."""
        return self.model_.held_out

    @property
    def calibration(self) -> dict[str, Any]:
        """That of the chosen variant."""
        return self.model_.calibration

    def history(self) -> list[dict[str, float]]:
        """Return the last fit of the chosen variant epoch by epoch."""
        return self.model_.history()

    def last_search(self) -> tuple[Search, ...]:
        """Return how the variant was chosen, and how it chose for itself, if it did."""
        return (self.search_, *self.model_.last_search())

    def contents(self, card: Card) -> Contents:
        """Return what a model folder holds of the chosen variant: prediction needs no more."""
        return self.model_.contents(card)

    @classmethod
    def load(cls, contents: Contents, *, trust: Sequence[str] = ()) -> Self:
        """Raise a TypeError: what `contents` gave is the chosen variant's."""
        raise TypeError("a model folder holds the variant that was chosen, never the search")

    def _search(self, training: TrainingSet, *, name: str) -> Search:
        """Fit each variant on each inner fold, and score it there."""
        inner, criterion = self._inner(training), training.outcome.criterion
        train_scores, validation_scores = np.zeros((2, len(self.settings), len(inner)))
        for number, prototype in enumerate(self.variants):
            for fold, (inner_training, held_out) in enumerate(inner):
                model = copy.deepcopy(prototype)
                model.fit(replace(inner_training, name=f"{name}/point_{number}_fold_{fold}"))
                train_scores[number, fold] = _score(model, training, inner_training.train_rows)
                validation_scores[number, fold] = _score(model, training, held_out)
            told = f"{validation_scores[number].mean():.3f} (training {train_scores[number].mean():.3f})"
            log.info("inner folds: %s %s with %s", SCORE_TITLES[criterion], told, self.settings[number])
        return Search(list(self.settings), train_scores, validation_scores, criterion)

    def _best(self, scores: np.ndarray, criterion: str) -> int:
        """Choose by scores [variants, folds]; a fold that one of them lacks does not count."""
        counted = scores[:, np.isfinite(scores).all(axis=0)]
        return Search(list(self.settings), counted, counted, criterion).best if counted.size else 0

    def _choice_identity(self, training: TrainingSet) -> str:
        """Hash all that the choice depends on: an earlier one is taken where nothing of it has changed."""
        volumes, rows = training.volumes, training.rows
        recipe = volumes.recipe.arguments() if volumes.recipe else None
        content = [[volumes.digests[row] for row in rows], training.targets[rows], training.groups[rows]]
        parts = [rows.tolist(), *(np.asarray(part).tolist() for part in content)]
        known = [] if volumes.covariates is None else [volumes.covariates.taking(rows).cells()]
        return digest_json([self.identity(), recipe, training.outcome.to_json(), parts, training.seed, *known])

    def _write(self, path: Path, search: Search, identity: str) -> None:
        scores = {"train": search.train_scores.tolist(), "validation": search.validation_scores.tolist()}
        found = {"identity": identity, "criterion": search.criterion, **scores}
        write_json(path, found | {"sha256": digest_json(found)})

    def _read(self, path: Path, identity: str) -> Search | None:
        """Read what an earlier start of the run found; None if that was another choice, or is damaged.

        mri3d up to 0.2 wrote no digest. Its choices are made again, since damage to one could not be told.
        """
        try:
            found = json.loads(path.read_bytes())
            if found.pop("sha256", None) != digest_json(found) or found["identity"] != identity:
                return None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            log.warning("%s is damaged: the inner folds are fitted again", path)
            return None
        scores = np.array(found["train"]), np.array(found["validation"])
        return Search(list(self.settings), *scores, found["criterion"])

    def _inner(self, training: TrainingSet) -> list[tuple[TrainingSet, np.ndarray]]:
        """Return what is learnt from and the held-out rows of each inner fold."""
        rows = training.rows
        folds = self.inner.split(
            Sample(training.outcome, training.targets[rows], training.groups[rows]), seed=training.seed
        )
        for fold in folds:
            if lacking := training.outcome.lacking(training.targets[rows[fold.test_rows]]):
                raise UserError(
                    f"inner fold {fold.number} holds out {lacking}, so its variants cannot be scored. Lower "
                    f"{option('evaluation.inner_folds')}, or change {option('seed')}."
                )
        return [
            (
                replace(
                    training,
                    train_rows=rows[fold.train_rows],
                    validation_rows=rows[fold.validation_rows],
                    inner=True,
                ),
                rows[fold.test_rows],
            )
            for fold in folds
        ]


def _score(model: Model, training: TrainingSet, rows: np.ndarray) -> float:
    outcome = training.outcome
    found = outcome.scores(training.targets[rows], model.predict(training.volumes, rows))[outcome.criterion]
    assert found is not None, "check refuses rows that cannot be scored"
    return found
