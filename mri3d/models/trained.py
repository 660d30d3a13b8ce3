"""A fitted model, or several that vote, with all that it needs to meet new scans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import nibabel as nib
import numpy as np
import pandas as pd

from mri3d.arguments import checked
from mri3d.errors import UserError, did_you_mean
from mri3d.files import check_folder
from mri3d.model_folder import places_of, write_model
from mri3d.models.acquaintance import Acquaintance
from mri3d.models.decision_rule import DecisionRule
from mri3d.models.member import Member, mean_evidence, votes
from mri3d.models.scan_prediction import PredictionTable, ScanPrediction, without_training_advice
from mri3d.outcome import Outcome
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan import image_of, read_scan
from mri3d.volumes.recipe import Recipe
from mri3d.volumes.sequence import InMemory


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel:
    """One or several fitted models, which vote by their mean prediction.

    `mri3d.fit`, `mri3d.load` and the `model` of results give one.

    Attributes:
        members: The models, each with its card.
        rule: What was asked of predictions by `with_options`; None where nothing was.

    >>> from mri3d import Study, fit, models
    >>> volumes = np.random.default_rng(0).random((20, 7, 8, 9))
    >>> volumes[1::2, 2:4, 2:4, 2:4] += 1
    >>> study = Study.from_arrays(volumes, labels=["control", "patient"] * 10)
    >>> model = fit(study, models.Ridge(num_components=0.9, inner_folds=2))
    >>> model.predict_arrays(volumes[:2]).argmax(axis=1)
    array([0, 1])
    """

    members: tuple[Member, ...]
    rule: DecisionRule | None = None

    def __repr__(self) -> str:
        kinds = ", ".join(sorted({type(member.model).__name__ for member in self.members}))
        return f"<TrainedModel of {self.outcome.name}: {len(self.members)} x {kinds}>"

    @property
    def outcome(self) -> Outcome:
        """What is predicted."""
        return self.deciding.outcome

    @property
    def deciding(self) -> DecisionRule:
        """What was asked of predictions."""
        return self.rule or DecisionRule(self.members[0].card.outcome)

    @property
    def table(self) -> PredictionTable:
        """How predictions become rows of predictions.csv."""
        return PredictionTable(self.outcome, self.deciding.coverage is not None, len(self.members) > 1)

    @property
    def recipe(self) -> Recipe | None:
        """How a scan becomes a volume; None for a model of arrays."""
        return self.members[0].card.recipe

    @property
    def suffix(self) -> str | None:
        """Kind of scan in a BIDS tree, as names end."""
        return self.members[0].card.suffix

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """The kinds of heatmaps that all members can make, the default first."""
        first, *others = self.members
        return tuple(kind for kind in first.model.heatmaps if all(kind in other.model.heatmaps for other in others))

    @checked
    def predict(
        self,
        scans: str | Path | Sequence[str | Path],
        *,
        prevalence: float | Mapping[str | int, float] | None = None,
        threshold: float | str | Mapping[str, float] | None = None,
        coverage: float | None = None,
    ) -> pd.DataFrame:
        """Predict scans; one that cannot be used never stops the others.

        Args:
            scans: A file, a glob, a folder (searched through), a BIDS root, or a list of these.
            prevalence: How frequent the second of two classes is among such scans, or each class by its name;
                probabilities are for the training's unless given.
            threshold: From which probability on the second class is predicted: a number, "balanced", "youden",
                {"sensitivity": 0.9} or {"specificity": 0.9}; unless given, the most probable class is.
            coverage: How often the truth is to lie in a set of classes, or an interval of a measure.

        Returns:
            A row for each scan as in predictions.csv: scan, prediction, p_<class> ..., status, warnings, and with
            several members `spread`; with `coverage` before status `set`, or `low` and `high`.

        Raises:
            UserError: There are no scans, the model was trained on arrays, or an option cannot be used with it.
        """
        self.require_recipe()
        model = self.with_options(prevalence=prevalence, threshold=threshold, coverage=coverage)
        places = [scans] if isinstance(scans, str | Path) else list(scans)
        paths = find_scans(list(map(str, places)), suffix=self.suffix or "T1w")
        found = [model.predict_scan(name, path) for name, path in zip(unique_names(paths), paths, strict=True)]
        return pd.DataFrame([model.table.row(one) for one in found])

    def with_options(self, *, prevalence: object = None, threshold: object = None, coverage: object = None) -> Self:
        """Return the model with options of `predict`, as it is where there are none.

        Raises:
            UserError: An option cannot be used with it.
        """
        if prevalence is None and threshold is None and coverage is None:
            return self
        cards = [member.card for member in self.members]
        return replace(self, rule=DecisionRule.of(cards, prevalence=prevalence, threshold=threshold, coverage=coverage))

    def predict_arrays(self, volumes: Any) -> np.ndarray:  # noqa: ANN401 (anything that numpy makes an array of)
        """Predict volumes of the shape that the model was trained on.

        Args:
            volumes: [N, X, Y, Z] or [N, C, X, Y, Z].

        Returns:
            Probabilities of the classes, float64 [N, K], or values of a measure [N].

        Raises:
            UserError: They have another shape, or are not finite.
        """
        return self._predictions(self._taken(volumes))

    @checked
    def explain(
        self, scan: str | Path, target: str | int | None = None, *, method: str | None = None
    ) -> nib.Nifti1Image:
        """Show where in a scan the evidence for its prediction lies.

        Args:
            scan: A file.
            target: Class to explain; the predicted one unless given.
            method: One of `heatmaps`; the first unless given. The peak of "gradcam" can lie far from what decided.

        Returns:
            The heatmap on the scan's own grid with its affine: 1 where evidence is strongest; of a measure, -1 to 1.

        Raises:
            UserError: The scan cannot be used, there is no such class or method, or the model was trained on arrays.
        """
        self.require_recipe()
        found = self.predict_scan(Path(scan).name, Path(scan), strict=True)
        assert found.scan is not None, "strict"
        return image_of(self.heat(found, target, method=method), found.scan.affine, code=found.scan.code)

    def explain_arrays(
        self,
        volumes: Any,  # noqa: ANN401 (anything that numpy makes an array of)
        target: str | int | None = None,
        *,
        method: str | None = None,
    ) -> np.ndarray:
        """Show where in volumes the evidence for their predictions lies.

        Args:
            volumes: As for `predict_arrays`.
            target: Class to explain; of each volume the predicted one unless given.
            method: One of `heatmaps`; the first unless given. The peak of "gradcam" can lie far from what decided.

        Returns:
            Heatmaps float32 [N, X, Y, Z], scaled as those of `explain`.

        Raises:
            UserError: As for `predict_arrays`, or there is no such class or method.
        """
        taken, kind = self._taken(volumes), self.method(method)
        predictions = self._predictions(taken)
        return np.stack(
            [
                self.evidence(taken[row], self.outcome.target_named(target, prediction), kind)
                for row, prediction in enumerate(predictions)
            ]
        )

    @checked
    def save(self, folder: str | Path) -> None:
        """Write the model, to be loaded by `mri3d.load`: several members each into `fold_<number>` beneath.

        Raises:
            UserError: The folder holds another model, which would be loaded with this one or in its place; or nothing
                can be written there.
        """
        check_folder(Path(folder), "folder")
        numbers = [member.card.fold for member in self.members] if len(self.members) > 1 else []
        for member, place in zip(self.members, places_of(Path(folder), numbers), strict=True):
            write_model(place, member.model.contents(member.card))

    def predict_scan(self, name: str, path: Path, *, strict: bool = False) -> ScanPrediction:
        """Predict one scan.

        Args:
            name: What to call it.
            path: The file.
            strict: Whether an error is raised; else it becomes the prediction's warning.

        Raises:
            UserError: `strict`, and the scan cannot be used.
        """
        recipe = self.require_recipe()
        try:
            scan = read_scan(path)
            volume = recipe.volume(scan)
            with np.errstate(all="ignore"):  # what is not finite is told below
                predictions = votes(self.members, InMemory(volume[None]))[:, 0]
            if not np.isfinite(predictions).all():
                raise UserError("the model computes no finite number for this scan.")
        except (UserError, MemoryError, RuntimeError) as error:  # torch's out-of-memory is a RuntimeError
            told = without_training_advice(error)
            if strict:
                raise told from error
            return ScanPrediction(name, None, status="failed", warnings=(" ".join(str(told).split()),))
        met, rule = Acquaintance.of(self.members, scan, volume), self.deciding
        moved = rule.moved(predictions)
        return ScanPrediction(
            name,
            moved.mean(axis=0),
            spread=self.outcome.spread(moved) if len(self.members) > 1 else None,
            status="unusual" if met.strange else "ok",
            warnings=(*scan.warnings, *recipe.warnings(scan), *filter(None, [met.strange, met.known])),
            seen=met.seen,
            scan=scan,
            volume=volume,
            region=rule.region(predictions),
        )

    def heat(self, found: ScanPrediction, target: str | int | None = None, *, method: str | None = None) -> np.ndarray:
        """Compute the heatmap of a predicted scan on its own grid, float32 [X, Y, Z] in stored order."""
        assert found.scan is not None, "it was predicted"
        assert found.volume is not None, "it was predicted"
        assert found.prediction is not None, "it was predicted"
        which = self.outcome.target_named(target, found.prediction)
        heat = self.evidence(found.volume, which, self.method(method))
        return self.require_recipe().to_scan(heat, found.scan)

    def evidence(self, volume: np.ndarray, target: int, method: str) -> np.ndarray:
        """Compute the scaled mean evidence of the members in a volume [C, X, Y, Z], float32 [X, Y, Z]."""
        with np.errstate(all="ignore"):
            heat = self.outcome.as_heat(mean_evidence(self.members, volume, target=target, method=method))
        if not np.isfinite(heat).all():
            raise UserError("the model computes no finite number for the heatmap.")
        return heat

    def method(self, name: str | None) -> str:
        """Return a kind of heatmap by its name, the default where none is named.

        Raises:
            UserError: The members cannot make it.
        """
        if not self.heatmaps:
            raise UserError("models of this kind have no heatmaps: the way from voxels to predictions is not a sum.")
        if name is not None and name not in self.heatmaps:
            raise UserError(
                f"method={name!r} is none of this model's.{did_you_mean(name, self.heatmaps)} Give one of "
                f"{', '.join(self.heatmaps)}."
            )
        return name or self.heatmaps[0]

    def require_recipe(self) -> Recipe:
        """Return the recipe.

        Raises:
            UserError: The model was trained on arrays, and no scan can be made into one.
        """
        if self.recipe is None:
            raise UserError(
                "the model was trained on arrays, so it has no recipe that turns a scan into a volume. Use "
                "predict_arrays and explain_arrays, or train on a study made from a table or a BIDS tree."
            )
        return self.recipe

    def _predictions(self, taken: InMemory) -> np.ndarray:
        """Predict volumes, [N, K] or [N], at the prevalence that was asked for."""
        each = votes(self.members, taken).swapaxes(0, 1)
        return np.stack([self.deciding.moved(of_members).mean(axis=0) for of_members in each])

    def _taken(self, volumes: Any) -> InMemory:  # noqa: ANN401
        """Copy a user's arrays, of the shape that the model was trained on."""
        taken, wanted = InMemory.of(volumes), self.members[0].card.reference.mean.shape
        if taken.shape != wanted:
            theirs, ours = (" x ".join(map(str, shape)) for shape in (taken.shape, wanted))
            raise UserError(f"volumes of {theirs} (channels, X, Y, Z) do not fit a model of {ours}.")
        return taken
