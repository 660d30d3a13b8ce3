"""What a trained network does: it predicts, explains, and is written as a model folder."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from mri3d.cohort.encoding import Encoder
from mri3d.cohort.variables import Variables
from mri3d.explain.contrasted import Contrasted
from mri3d.explain.evidence import LAYERED, Evidence, Question
from mri3d.explain.layers import Layers
from mri3d.explain.of_network import explain_network, ways_of
from mri3d.explain.trust import SHORT, Form, Trust, examine
from mri3d.model_folder import Card, Contents
from mri3d.models.network.features import last_features
from mri3d.models.network.forward import network_outputs
from mri3d.models.network.repeatable import repeatable
from mri3d.nets.fused import Fused, OfOneSession
from mri3d.nets.shuffled import layer_weights, with_shuffled_weights
from mri3d.outcome import Line, Outcome, Temperature
from mri3d.parallel import num_cores
from mri3d.volumes.reference import Reference
from mri3d.volumes.sequence import VolumeSequence


class FittedNetwork:
    """A network with its weights, and what leads from its outputs to predictions, as `CNN.fit` leaves them.

    Attributes:
        network_: In evaluation mode.
        arguments_: From which it is built again.
        device_: Where it computes.
        outcome_: What is predicted.
        scaling_: From outputs to the unit of the targets.
        temperature_: What makes probabilities honest; None where nothing does.
        line_: What corrects the predictions; None without `debias`.
        history_: The fit epoch by epoch.
        encoder: How covariates become columns; None without.
    """

    name: ClassVar[str]
    batch_size: int
    num_workers: int | None

    network_: nn.Module
    arguments_: dict[str, Any]
    device_: torch.device
    outcome_: Outcome
    scaling_: np.ndarray | None
    temperature_: Temperature | None
    line_: Line | None
    history_: list[dict[str, float]]
    encoder: Encoder | None

    def predict(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Predict rows, see `Model.predict`; several processes share the work and all get all rows."""
        outputs = self._outputs(volumes, rows)
        tempered = outputs if self.temperature_ is None else self.temperature_.apply(outputs)
        predictions = self.outcome_.activate(tempered, self.scaling_)
        return predictions if self.line_ is None else self.line_.correct(predictions)

    @property
    def heatmaps(self) -> tuple[str, ...]:
        """All ways to explain that the network has layers for."""
        return ways_of(self.network_)

    @repeatable(full_precision=True)
    def explain(self, asked: Question, *, reference: Reference) -> Evidence:
        """Map the evidence in a volume, see `Model.explain`; without covariates it is that of an average session."""
        offered = self.heatmaps if asked.method.layer is None else (*self.heatmaps, *LAYERED)
        assert asked.method.name in offered, f"this network has no {asked.method.name}"
        return explain_network(self.contrasted(asked), asked, reference=reference)

    def contrasted(self, asked: Question) -> Contrasted:
        """Return the network as the number that a question is about."""
        contrast = self.outcome_.contrast(asked.target, self.scaling_) / (
            1.0 if self.line_ is None else self.line_.slope
        )
        contrast /= 1.0 if self.temperature_ is None else self.temperature_.temperature
        network = self.network_.to(self.device_)
        if isinstance(network, Fused) and self.encoder is not None and asked.covariates is not None:
            network = OfOneSession(network, torch.from_numpy(self.encoder.encode(asked.covariates)[0]))
        return Contrasted(network, contrast)

    @repeatable(full_precision=True)
    def examined(self, questions: Iterable[Question], *, reference: Reference, form: Form = SHORT) -> Trust:
        """Examine whether its maps can be trusted, see `Model.examined`."""
        return examine(self, questions, reference=reference, form=form)

    @property
    def num_layers(self) -> int:
        """How many layers of the network have weights."""
        return len(layer_weights(self.network_))

    def shuffled(self, share: float) -> Self:
        """Return another whose weights are shuffled within each of the last layers.

        Args:
            share: Of all layers with weights, from the outputs on.
        """
        other = copy.copy(self)
        other.network_ = with_shuffled_weights(self.network_, share)
        return other

    def features(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray | None:
        """Compute what the last layer is given of rows, see `Model.features`."""
        network, columns = self.network_.to(self.device_), self._columns(volumes)
        return last_features(network, volumes, rows, batch_size=self.batch_size, columns=columns)

    def maps(self) -> None:
        """Return nothing: a network has no weight for each voxel."""

    @property
    def layers(self) -> Layers:
        """Those that volumes go through."""
        return Layers.of(
            self.network_.to(self.device_), (self.arguments_.get("num_channels", 1), *self.arguments_["volume_shape"])
        )

    @repeatable(full_precision=True)
    def feature_maps(
        self, volume: np.ndarray, names: Sequence[str], *, covariates: Variables | None = None
    ) -> dict[str, np.ndarray]:
        """Compute what layers give for a volume, see `Model.feature_maps`: covariates meet none of them."""
        return self.layers.maps(volume, names)

    @property
    def line(self) -> Line | None:
        """What corrects the predictions."""
        return self.line_

    def contents(self, card: Card) -> Contents:
        """Return the network's weights, and what builds it again."""
        tensors = {name: tensor.cpu().numpy() for name, tensor in self.network_.state_dict().items()}
        steering = {
            "scaling": None if self.scaling_ is None else self.scaling_.tolist(),
            "line": None if self.line_ is None else asdict(self.line_),
            "temperature": None if self.temperature_ is None else asdict(self.temperature_),
        }
        return Contents(self.name, self.arguments_ | steering, tensors, card)

    def restore(self, contents: Contents, network: nn.Module) -> None:
        """Take a network that was loaded, and all else that a model folder keeps of a fit.

        Raises:
            KeyError, TypeError, ValueError: It is of another kind.
        """
        arguments = contents.arguments
        self.network_, self.history_, self.arguments_ = network.eval(), [], arguments
        self.encoder = Encoder.from_json(arguments["encoder"]) if "encoder" in arguments else None
        self.device_ = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        scaling, line = arguments.get("scaling"), arguments.get("line")  # the first format has neither
        self.outcome_, self.scaling_ = contents.card.outcome, None if scaling is None else np.array(scaling)
        self.line_, self.temperature_ = None if line is None else Line(**line), None
        if (tempered := arguments.get("temperature")) is not None:  # folders of mri3d up to 0.3 have none
            self.temperature_ = Temperature.from_json(tempered, num_outputs=self.outcome_.num_outputs)

    def _outputs(self, volumes: VolumeSequence, rows: np.ndarray) -> np.ndarray:
        """Compute what the network gives for rows, float64 [len(rows), D]."""
        workers = self._workers() if len(rows) > self.batch_size else 0
        network = self.network_.to(self.device_)
        columns = self._columns(volumes)
        return network_outputs(network, volumes, rows, batch_size=self.batch_size, num_workers=workers, columns=columns)

    def _columns(self, volumes: VolumeSequence) -> np.ndarray | None:
        """Return the covariates of volumes as the network is given them [N, Q]; None where it has none."""
        if self.encoder is None:
            return None
        assert volumes.covariates is not None, "the network has covariates, and so must have what it predicts"
        return self.encoder.encode(volumes.covariates)

    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        return min(8, num_cores() // 2) if torch.cuda.is_available() else 0
