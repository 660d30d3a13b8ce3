"""Fitted models that vote: what commands and pages ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from mri3d.errors import NotInstalledError, UserError, option
from mri3d.models.acquaintance import Acquaintance
from mri3d.models.beside_scans import Beside, Known, known_of_arrays
from mri3d.models.decision_rule import DecisionRule
from mri3d.models.explaining import Explaining
from mri3d.models.member import votes
from mri3d.models.scan_prediction import PredictionTable, ScanPrediction, without_training_advice
from mri3d.scans.scan_file import ScanFile, masked, path_of, read_file
from mri3d.volumes.described import Described
from mri3d.volumes.sequence import InMemory, VolumeSequence


@dataclass(frozen=True, eq=False, repr=False)
class Voting(Explaining):
    """One or several fitted models, which vote by their mean prediction."""

    @property
    def table(self) -> PredictionTable:
        """How predictions become rows of predictions.csv."""
        return PredictionTable(self.outcome, self.deciding.coverage is not None, len(self.members) > 1)

    @property
    def suffix(self) -> str | None:
        """Kind of scan in a BIDS tree, as names end."""
        return self.members[0].card.suffix

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the table that the model asks for beside a scan; none where the image is all."""
        encoder = self.members[0].model.encoder
        return () if encoder is None else encoder.names

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
