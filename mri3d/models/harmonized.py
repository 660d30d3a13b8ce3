"""A fitted model that sees volumes without the effects of the sites that it was harmonised for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mri3d.cohort.encoding import Coding, Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.evidence import Evidence, Question
from mri3d.explain.layers import Layers
from mri3d.explain.trust import SHORT, Form, Trust
from mri3d.model_folder import Card, Contents
from mri3d.models.model import FittedModel
from mri3d.volumes.combat import Combat
from mri3d.volumes.harmonization import Applied, UnknownSiteError
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import InMemory, VolumeSequence

SITE = "site"
"""The covariate that says where a scan was made."""

_PART = "harmonized"


@dataclass(frozen=True, eq=False)
class HarmonizedModel:
    """Takes the effect of its site out of each volume, and hands it on.

    Attributes:
        fitted: What was fitted to volumes without such effects.
        combats: The effects, by how much the volumes were smoothed that they were fitted to.
    """

    fitted: FittedModel
    combats: Mapping[float, Combat]

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows, see `FittedModel.predict`; the volumes' covariates have their sites.

        Raises:
            UserError: A site is not one that the model was harmonised for.
        """
        sites = self._sites(volumes.covariates, np.asarray(rows), len(volumes))
        return self.fitted.predict(Applied(volumes, sites, self.combats), rows)

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """Those of what was fitted."""
        return self.fitted.heatmaps

    @property
    def encoder(self) -> Encoder:
        """Ask for the site too, of which those are known that were harmonised."""
        inner, names = self.fitted.encoder, self._plain.sites
        site = Coding(SITE, False, names, (0.0,) * len(names), 1.0, 0.0, names)
        asked = () if inner is None else tuple(each for each in inner.codings if each.name != SITE)
        return Encoder((*asked, site))

    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Map the evidence in a volume without the effect of its site, see `FittedModel.explain`.

        It is compared with the average alone: what sets training volumes apart holds the effects of their sites.
        """
        return self.fitted.explain(self._without_site(asked), reference=replace(reference, variations=None))

    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust | None:
        """Examine the maps of what was fitted, of volumes without the effects of their sites; None of other sites'."""
        try:
            usual = replace(reference, variations=None)  # as `explain`
            return self.fitted.examined(map(self._without_site, questions), reference=usual, form=form)
        except UnknownSiteError:
            return None

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray | None:
        """Return those of rows without the effects of their sites, see `FittedModel.features`."""
        sites = self._sites(volumes.covariates, np.asarray(rows), len(volumes))
        return self.fitted.features(Applied(volumes, sites, self.combats), rows)

    def maps(self) -> np.ndarray | None:
        """Return the weights of what was fitted."""
        return self.fitted.maps()

    @property
    def layers(self) -> Layers | None:
        """Those of what was fitted."""
        return self.fitted.layers

    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Compute what layers give for a volume without the effect of its site, see `FittedModel.feature_maps`."""
        return self.fitted.feature_maps(self._harmonized(volume, covariates), names, covariates=covariates)

    @property
    def held_out(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Those of what was fitted."""
        return self.fitted.held_out

    def contents(self, card: Card) -> Contents:
        """Return what a model folder holds: the contents of what was fitted, and the effects."""
        inner = self.fitted.contents(card)
        shares, sites = sorted(self.combats), self._plain.sites
        tensors = {
            f"{_PART}.{number}.{name}": tensor
            for number, share in enumerate(shares)
            for name, tensor in self.combats[share].tensors().items()
        }
        arguments = {**inner.arguments, _PART: {"shares": shares, "sites": list(sites)}}
        return replace(inner, arguments=arguments, tensors={**inner.tensors, **tensors})

    def _without_site(self, asked: Question) -> Question:
        """Return a question about the volume as the fit is given it."""
        return replace(asked, volume=self._harmonized(asked.volume, asked.covariates))

    def _harmonized(self, volume: np.ndarray, covariates: Variables | None) -> np.ndarray:
        """Take the effect of its site out of a volume [C, X, Y, Z]."""
        sites = self._sites(covariates, np.arange(1), 1)
        return Applied(InMemory(volume[None]), sites, {0.0: self._plain})[0]

    def _sites(self, covariates: Variables | None, rows: np.ndarray, number: int) -> list[str]:
        """Return the site of each of N volumes; any of those that are not asked for, which nobody reads."""
        assert covariates is not None, "the model asks for the site"
        (site,) = (each for each in covariates.members if each.name == SITE)
        found = [self._plain.sites[0]] * number
        for row in rows.tolist():
            found[row] = str(site.values[row])
        return found

    @property
    def _plain(self) -> Combat:
        """The effects on volumes that are not smoothed, or smoothed as little as there are."""
        return self.combats[min(self.combats)]


def fitted_of(model: FittedModel | None) -> FittedModel | None:
    """Return what was fitted, which sees volumes as they are learnt from."""
    return model.fitted if isinstance(model, HarmonizedModel) else model


def parted(contents: Contents) -> tuple[Contents, dict[float, Combat]]:
    """Part the contents of a model folder into those of what was fitted, and the effects of sites; of others, none.

    Raises:
        KeyError, TypeError, ValueError: They are of another kind.
    """
    if _PART not in contents.arguments:
        return contents, {}
    told, tensors = contents.arguments[_PART], dict(contents.tensors)
    arguments = {name: value for name, value in contents.arguments.items() if name != _PART}
    sites, combats = tuple(told["sites"]), dict[float, Combat]()
    if not sites or not all(isinstance(site, str) for site in sites) or len(set(sites)) < len(sites):
        raise ValueError("the sites that the model was harmonised for are no different texts")
    for number, share in enumerate(told["shares"]):
        start = f"{_PART}.{number}."
        own = {name.removeprefix(start): tensors.pop(name) for name in [*tensors] if name.startswith(start)}
        combats[float(share)] = Combat.from_tensors(own, sites)
        if combats[float(share)].mean.size != contents.card.reference.mean.size:
            raise ValueError("the effects of sites are not of the model's volumes")
    if not combats:
        raise ValueError("there are no effects of sites")
    return replace(contents, arguments=arguments, tensors=tensors), combats
