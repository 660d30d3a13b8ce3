"""Fitted models that vote: what commands and pages ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mri3d.errors import NotInstalledError, UserError, did_you_mean, option
from mri3d.explain.evidence import LAYERED, Evidence, Method, Question
from mri3d.explain.regions import Labels
from mri3d.models.acquaintance import Acquaintance
from mri3d.models.beside_scans import Beside, Known, known_of_arrays
from mri3d.models.decision_rule import DecisionRule
from mri3d.models.heatmap import Heatmap
from mri3d.models.member import Member, mean_evidence, votes
from mri3d.models.scan_prediction import PredictionTable, ScanPrediction, without_training_advice
from mri3d.outcome import Outcome
from mri3d.scans.scan import MNI
from mri3d.scans.scan_file import ScanFile, masked, path_of, read_file
from mri3d.volumes.described import Described
from mri3d.volumes.recipes import AnyRecipe
from mri3d.volumes.sequence import InMemory, VolumeSequence

SPACES = ("scan", "mni")
"""Where a heatmap may lie: on the scan's own grid, or on that of the volumes in the space of MNI152."""


@dataclass(frozen=True, eq=False, repr=False)
class Voting:
    """One or several fitted models, which vote by their mean prediction.

    Attributes:
        members: The models, each with its card.
        rule: What was asked of predictions by `with_options`; None where nothing was.
    """

    members: tuple[Member, ...]
    rule: DecisionRule | None = None

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
    def recipe(self) -> AnyRecipe | None:
        """How a scan becomes a volume; None for a model of arrays."""
        return self.members[0].card.recipe

    @property
    def suffix(self) -> str | None:
        """Kind of scan in a BIDS tree, as names end."""
        return self.members[0].card.suffix

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the table that the model asks for beside a scan; none where the image is all."""
        encoder = self.members[0].model.encoder
        return () if encoder is None else encoder.names

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """The ways to explain that all members have, the default first."""
        first, *others = self.members
        return tuple(kind for kind in first.model.heatmaps if all(kind in other.model.heatmaps for other in others))

    def ways(self, layer: str | None) -> tuple[str, ...]:
        """The `heatmaps`; with a layer named also those that weigh its map, whether or not a network names one."""
        layered = layer is not None and self.members[0].model.layers is not None
        return tuple(dict.fromkeys((*self.heatmaps, *(LAYERED if layered else ()))))

    def beside(self, table: object, *, id: object = None) -> Beside | None:
        """Read the table that a model with covariates asks for, see `Beside.read`."""
        return Beside.read([member.model.encoder for member in self.members], table, id=id)

    def with_options(self, *, prevalence: object = None, threshold: object = None, coverage: object = None) -> Self:
        """Return the model with options of `predict`, as it is where there are none.

        Raises:
            UserError: An option cannot be used with it.
        """
        if prevalence is None and threshold is None and coverage is None:
            return self
        cards = [member.card for member in self.members]
        return replace(self, rule=DecisionRule.of(cards, prevalence=prevalence, threshold=threshold, coverage=coverage))

    def predict_scan(
        self, name: str, file: ScanFile, *, strict: bool = False, beside: Beside | None = None, force: bool = False
    ) -> ScanPrediction:
        """Predict one scan.

        Args:
            name: What to call it.
            file: The file, with a mask where there is one.
            strict: Whether an error is raised; else it becomes the prediction's warning.
            beside: What is known of scans, see `beside`.
            force: Whether it is predicted even where it is outside of what the model was trained on.

        Raises:
            UserError: `strict`, and the scan cannot be used.
        """
        recipe, scan = self.require_recipe(), None
        try:
            known = None if beside is None else beside.known(path_of(file))
            scan = read_file(file)
            volume = recipe.volume(scan)
            predictions = self._votes(volume, known)
        except NotInstalledError:
            raise
        except (UserError, MemoryError, RuntimeError) as error:  # torch's out-of-memory is a RuntimeError
            reason = without_training_advice(error)
            if strict:
                raise reason from error
            status = "outside" if scan is not None and scan.labels.what else "failed"
            return ScanPrediction(name, None, status=status, warnings=(" ".join(str(reason).split()),))
        met, rule = Acquaintance.of(self.members, scan, volume), self.deciding
        told = (*scan.warnings, *recipe.warnings(scan), *filter(None, [met.strange, met.known]))
        told = (*told, *(known.warnings if known else ()))
        if met.outside and not force:
            if strict:
                raise UserError(f"{file} is {met.strange}. {option('force', True)} goes on all the same.")
            return ScanPrediction(name, None, status=met.status, warnings=told, seen=met.seen, scan=scan)
        moved = rule.moved(predictions)
        strange = met.status == "ok" and known is not None and known.strange
        return ScanPrediction(
            name,
            moved.mean(axis=0),
            spread=self.outcome.spread(moved) if len(self.members) > 1 else None,
            status="unusual" if strange else met.status,
            warnings=told,
            seen=met.seen,
            scan=scan,
            volume=volume,
            region=rule.region(predictions),
            covariates=known.variables if known else None,
        )

    def _votes(self, volume: np.ndarray, known: Known | None) -> np.ndarray:
        """Predict one volume [C, X, Y, Z] by each of M members, [M, K] or [M].

        Raises:
            UserError: What they compute is not finite.
        """
        alone = InMemory(volume[None])
        with np.errstate(all="ignore"):  # what is not finite is told below
            predictions = votes(self.members, Described(alone, known.variables) if known else alone)[:, 0]
        if not np.isfinite(predictions).all():
            raise UserError("the model computes no finite number for this scan.")
        return predictions

    def masked(self, paths: Sequence[Path], mask: object) -> list[ScanFile]:
        """Give each scan the mask of its brain, where there is a pattern that names them, see `scan_file.masked`.

        Raises:
            UserError: It is no pattern, or the model was trained on volumes that show more than brains.
        """
        if mask is None:
            return list(paths)
        if not isinstance(mask, str):
            raise UserError(f"{option('mask', mask)} is no path. Give one such as {{id}}_mask.nii.gz.")
        if self.require_recipe().shows != "brains":
            raise UserError(f"{option('mask', mask)} is for models of brains alone, which this one is not.")
        return masked(paths, mask)

    def check_space(self, space: object) -> None:
        """Refuse a space in which the model's heatmaps cannot lie.

        Raises:
            UserError: It is none of `SPACES`, or the volumes of different scans do not lie alike.
        """
        if space not in SPACES:
            raise UserError(f"{option('space', space)} is unknown. Give one of {', '.join(SPACES)}.")
        if space == "mni" and self.require_recipe().shared_affine is None:
            raise UserError(
                f"{option('space', 'mni')}: the model knows nothing of where brains lie. Leave it out, or use a model "
                "that was trained with preprocess=brain."
            )

    def heatmap(
        self,
        found: ScanPrediction,
        target: str | int | None = None,
        *,
        method: Method | None = None,
        space: str = SPACES[0],
        labels: Labels | None = None,
    ) -> Heatmap:
        """Compute the heatmap of a predicted scan.

        Args:
            found: What was predicted.
            target: Class to explain; the predicted one unless given.
            method: How; by the first of `heatmaps` unless given.
            space: On the grid of the scan, in stored order, or of its volume in the space of MNI152, see `check_space`.
            labels: Regions, in the world of the scan or, of a model that aligns brains, in the space of MNI152.

        Raises:
            UserError: There is no such target or layer, or what the model computes is not finite.
        """
        assert found.scan is not None, "it was predicted"
        assert found.volume is not None, "it was predicted"
        assert found.prediction is not None, "it was predicted"
        recipe, scan = self.require_recipe(), found.scan
        asked = Question(
            found.volume,
            self.outcome.target_named(target, found.prediction),
            method or self.method(None),
            found.covariates,
            None if labels is None else self._regions(found, labels),
        )
        evidence = self.evidence(asked, inside=recipe.inside(scan))
        if space == "mni" and recipe.shared_affine is not None:
            return Heatmap(asked, evidence, evidence.heat, recipe.shared_affine, MNI)
        return Heatmap(asked, evidence, recipe.to_scan(evidence.heat, scan), scan.affine, scan.code)

    def _regions(self, found: ScanPrediction, labels: Labels) -> np.ndarray:
        """Carry regions to the volume of a scan, int [X, Y, Z]."""
        assert found.scan is not None, "it was predicted"
        assert found.volume is not None, "it was predicted"
        recipe, sides = self.require_recipe(), found.volume.shape[1:]
        if recipe.shared_affine is None or labels.is_on(found.scan.data.shape, found.scan.affine):
            return labels.at(sides, recipe.affine(found.scan))
        return labels.at(sides, recipe.shared_affine)

    def evidence(self, asked: Question, *, inside: np.ndarray | None = None) -> Evidence:
        """Compute the mean evidence of the members, each of which has a baseline of its own.

        What smoothing takes out of `inside` [X, Y, Z], where that is known, is left out: in air there is no evidence.

        Raises:
            UserError: What they compute is not finite, or one has no such layer.
        """
        with np.errstate(all="ignore"):
            found = mean_evidence(self.members, asked)
            if inside is not None:
                found = found.within(inside)
        if not np.isfinite(found.values).all():
            raise UserError("the model computes no finite number for the heatmap.")
        return found

    def method(self, name: str | None, layer: str | None = None) -> Method:
        """Return a way to explain by its name, the default where none is named.

        Raises:
            UserError: The members do not have it.
        """
        if not (offered := self.ways(layer)):
            raise UserError("models of this kind have no heatmaps: the way from voxels to predictions is not a sum.")
        if name is not None and name not in offered:
            unless = f" unless {option('layer')} names a layer" if name in self.ways("") else ""
            told = f"method={name!r} is none of this model's{unless}.{did_you_mean(name, offered)}"
            raise UserError(f"{told} Give one of {', '.join(offered)}.")
        if layer is not None and name not in LAYERED:
            raise UserError(f"{option('layer', layer)} is for {' and '.join(LAYERED)} only. Leave it out.")
        if layer is not None and (layers := self.members[0].model.layers) is not None:
            layers.cells(layers.named(layer))  # told now rather than of each scan
        return Method(name or offered[0], layer)

    def trusted(self, method: Method) -> tuple[bool | None, str]:
        """Return whether maps of a way to explain can be trusted, as training found, and why; None where it is unknown.

        The first fold's model was examined for all, by the default way; where several vote, the reason says so.
        """
        for member in self.members:
            found = member.card.facts.get("maps")
            if isinstance(found, dict) and found.get("method") == method.name and method.layer is None:
                verdict, reason = found.get("trusted"), str(found.get("reason") or "")
                if reason and len(self.members) > 1:
                    reason += f" That was found of the first of {len(self.members)} models, whose mean map this is."
                return (verdict if isinstance(verdict, bool) else None), reason
        return None, ""

    def require_recipe(self) -> AnyRecipe:
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

    def _predictions(self, taken: VolumeSequence) -> np.ndarray:
        """Predict volumes, [N, K] or [N], at the prevalence that was asked for."""
        each = votes(self.members, taken).swapaxes(0, 1)
        return np.stack([self.deciding.moved(of_members).mean(axis=0) for of_members in each])

    def _taken(self, volumes: Any, covariates: Mapping[str, Sequence[object]] | None) -> VolumeSequence:  # noqa: ANN401
        """Copy a user's arrays, of the shape that the model was trained on, and what is known of them."""
        taken, wanted = InMemory.of(volumes), self.members[0].card.reference.mean.shape
        if taken.shape != wanted:
            theirs, ours = (" x ".join(map(str, shape)) for shape in (taken.shape, wanted))
            raise UserError(f"volumes of {theirs} (channels, X, Y, Z) do not fit a model of {ours}.")
        if (encoder := self.members[0].model.encoder) is None:
            if covariates is not None:
                raise UserError("the model was trained without covariates. Leave them out.")
            return taken
        return Described(taken, known_of_arrays(encoder, covariates, len(taken)))
