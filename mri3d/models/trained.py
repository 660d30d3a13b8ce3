"""A fitted model, or several that vote, with all that it needs to meet new scans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from mri3d.arguments import checked
from mri3d.explain.evidence import Question
from mri3d.files import check_folder
from mri3d.model_folder import write_model
from mri3d.model_places import places_of
from mri3d.models.explaining import SPACES
from mri3d.models.voting import Voting
from mri3d.scans.listing import find_scans, unique_names
from mri3d.scans.scan_file import path_of


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel(Voting):
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

    def __repr__(self) -> str:
        kinds = ", ".join(sorted({type(member.model).__name__ for member in self.members}))
        return f"<TrainedModel of {self.outcome.name}: {len(self.members)} x {kinds}>"

    @checked
    def predict(
        self,
        scans: str | Path | Sequence[str | Path],
        *,
        prevalence: float | Mapping[str | int, float] | None = None,
        threshold: float | str | Mapping[str, float] | None = None,
        coverage: float | None = None,
        table: object = None,
        id: str | Sequence[str] | None = None,
        mask: str | None = None,
        force: bool = False,
    ) -> pd.DataFrame:
        """Predict scans; one that cannot be used never stops the others.

        Args:
            scans: A file, a glob, a folder (searched through), a BIDS root, or a list of these.
            prevalence: How frequent the second of two classes is among such scans, or each class by its name;
                probabilities are for the training's unless given.
            threshold: From which probability on the second class is predicted: a number, "balanced", "youden",
                {"sensitivity": 0.9} or {"specificity": 0.9}; unless given, the most probable class is.
            coverage: How often the truth is to lie in a set of classes, or an interval of a measure.
            table: Of a model with covariates: what is known of each scan, a CSV or TSV file, a DataFrame, or a
                dictionary of columns; see `mri3d.cohort.scan_rows` for how rows are found.
            id: Column of the table that names its rows, or several.
            mask: Of a model of brains: what masks of them are called, such as "{id}_mask.nii.gz"; `{id}` is the scan's
                name, and the folder that of the scan.
            force: Predict scans too that are outside of what the model was trained on.

        Returns:
            A row for each scan as in predictions.csv: scan, prediction, p_<class> ..., status, warnings, and with
            several members `spread`; with `coverage` before status `set`, or `low` and `high`.

        Raises:
            UserError: There are no scans, the model was trained on arrays, an option cannot be used with it, or it asks
                for a table.
        """
        self.require_recipe()
        beside = self.beside(table, id=id)
        model = self.with_options(prevalence=prevalence, threshold=threshold, coverage=coverage)
        places = [scans] if isinstance(scans, str | Path) else list(scans)
        files = self.masked(find_scans(list(map(str, places)), suffix=self.suffix or "T1w"), mask)
        named = zip(unique_names(list(map(path_of, files))), files, strict=True)
        found = [model.predict_scan(name, file, beside=beside, force=force) for name, file in named]
        return pd.DataFrame([model.table.row(one) for one in found])

    def predict_arrays(
        self,
        volumes: Any,  # noqa: ANN401 (anything that numpy makes an array of)
        covariates: Mapping[str, Sequence[object]] | None = None,
    ) -> np.ndarray:
        """Predict volumes of the shape that the model was trained on.

        Args:
            volumes: [N, X, Y, Z] or [N, C, X, Y, Z].
            covariates: Name of each covariate that the model was trained with to its values [N].

        Returns:
            Probabilities of the classes, float64 [N, K], or values of a measure [N].

        Raises:
            UserError: They have another shape, or are not finite.
        """
        return self._predictions(self._taken(volumes, covariates))

    @checked
    def explain(
        self,
        scan: str | Path,
        target: str | int | None = None,
        *,
        method: str | None = None,
        layer: str | None = None,
        table: object = None,
        id: str | Sequence[str] | None = None,
        space: str = SPACES[0],
        mask: str | None = None,
        force: bool = False,
    ) -> nib.Nifti1Image:
        """Show where in a scan the evidence for its prediction lies.

        Args:
            scan: A file.
            target: Class to explain; the predicted one unless given.
            method: One of `heatmaps`; the first unless given. The peak of "gradcam" can lie far from what decided.
            layer: Of a network, whose map "gradcam" or "hirescam" weigh.
            table: As for `predict`.
            id: As for `predict`.
            space: "scan" for the scan's own grid; of a model that aligns brains also "mni" for the grid of its volumes,
                in the space of MNI152.
            mask: As for `predict`.
            force: As for `predict`; without it, such a scan is refused.

        Returns:
            The heatmap with its affine: -1 to 1 in units of the strongest evidence, positive for the target.

        Raises:
            UserError: The scan cannot be used, there is no such class or method, or the model was trained on arrays.
        """
        self.check_space(space)
        (file,) = self.masked([Path(scan)], mask)
        found = self.predict_scan(Path(scan).name, file, strict=True, beside=self.beside(table, id=id), force=force)
        assert found.scan is not None, "strict"
        heatmap = self.heatmap(found, target, method=self.method(method, layer), space=space)
        return heatmap.image(self.outcome)

    def explain_arrays(
        self,
        volumes: Any,  # noqa: ANN401 (anything that numpy makes an array of)
        target: str | int | None = None,
        *,
        method: str | None = None,
        layer: str | None = None,
        covariates: Mapping[str, Sequence[object]] | None = None,
    ) -> np.ndarray:
        """Show where in volumes the evidence for their predictions lies.

        Args:
            volumes: As for `predict_arrays`.
            target: Class to explain; of each volume the predicted one unless given.
            method: One of `heatmaps`; the first unless given. The peak of "gradcam" can lie far from what decided.
            layer: Of a network, whose map "gradcam" or "hirescam" weigh.
            covariates: As for `predict_arrays`.

        Returns:
            Heatmaps float32 [N, X, Y, Z], scaled as those of `explain`.

        Raises:
            UserError: As for `predict_arrays`, or there is no such class or method.
        """
        taken, how = self._taken(volumes, covariates), self.method(method, layer)
        maps = []
        for row, prediction in enumerate(self._predictions(taken)):
            known = None if taken.covariates is None else taken.covariates.taking(np.array([row]))
            which = self.outcome.target_named(target, prediction)
            maps.append(self.evidence(Question(taken[row], which, how, known)).heat)
        return np.stack(maps)

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
