"""Fitted models whose evidence is averaged: what explanations ask of them."""

from dataclasses import dataclass

import numpy as np

from mri3d.errors import UserError, did_you_mean, option
from mri3d.explain.evidence import LAYERED, Evidence, Method, Question
from mri3d.explain.regions import Labels
from mri3d.models.decision_rule import DecisionRule
from mri3d.models.heatmap import Heatmap
from mri3d.models.member import Member, mean_evidence
from mri3d.models.scan_prediction import ScanPrediction
from mri3d.outcome import Outcome
from mri3d.scans.scan import MNI
from mri3d.volumes.recipes import AnyRecipe

SPACES = ("scan", "mni")
"""Where a heatmap may lie: on the scan's own grid, or on that of the volumes in the space of MNI152."""


@dataclass(frozen=True, eq=False, repr=False)
class Explaining:
    """One or several fitted models, whose mean evidence explains.

    Attributes:
        members: The models, each with its card.
        rule: What was asked of predictions by `Voting.with_options`; None where nothing was.
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
    def recipe(self) -> AnyRecipe | None:
        """How a scan becomes a volume; None for a model of arrays."""
        return self.members[0].card.recipe

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

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """The ways to explain that all members have, the default first."""
        first, *others = self.members
        return tuple(kind for kind in first.model.heatmaps if all(kind in other.model.heatmaps for other in others))

    def ways(self, layer: str | None) -> tuple[str, ...]:
        """The `heatmaps`; with a layer named also those that weigh its map, whether or not a network names one."""
        layered = layer is not None and self.members[0].model.layers is not None
        return tuple(dict.fromkeys((*self.heatmaps, *(LAYERED if layered else ()))))

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

    def _regions(self, found: ScanPrediction, labels: Labels) -> np.ndarray:
        """Carry regions to the volume of a scan, int [X, Y, Z]."""
        assert found.scan is not None, "it was predicted"
        assert found.volume is not None, "it was predicted"
        recipe, sides = self.require_recipe(), found.volume.shape[1:]
        if recipe.shared_affine is None or labels.is_on(found.scan.data.shape, found.scan.affine):
            return labels.at(sides, recipe.affine(found.scan))
        return labels.at(sides, recipe.shared_affine)
