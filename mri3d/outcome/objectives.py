"""What a network is trained for: the loss of its outputs, what guessing costs, and scores to watch."""

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanAbsoluteError, MetricCollection, R2Score
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC


class Objective(Protocol):
    """Loss and live scores of a network's outputs [B, D] against targets [B]; a torch module without weights."""

    def guessing(self, targets: np.ndarray) -> float:
        """Compute the loss on such targets [N] of a network that knows nothing of the volumes."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean loss of a training batch."""

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the loss of each row [B], and its weight in the mean [B]."""

    def predictions(self, outputs: Tensor) -> Tensor:
        """Turn outputs into what the scores are computed from."""

    def scores(self) -> MetricCollection:
        """Build the scores to watch in validation, named `val_...`."""


class ClassObjective(nn.Module):
    """Cross-entropy in which each class counts the same.

    Args:
        counts: Training rows of each class [K], none of them 0.
    """

    class_weights: Tensor

    def __init__(self, counts: np.ndarray) -> None:
        super().__init__()
        assert counts.all(), "a class is not among the training rows"
        weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)

    def guessing(self, targets: np.ndarray) -> float:
        """Compute the loss where every class is as likely, whatever the subject."""
        return math.log(len(self.class_weights))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the weighted mean cross-entropy of outputs [B, D]."""
        return functional.cross_entropy(class_logits(outputs), targets, weight=self.class_weights)

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the cross-entropy of each row [B], and the weight of its class [B]."""
        return functional.cross_entropy(class_logits(outputs), targets, reduction="none"), self.class_weights[targets]

    def predictions(self, outputs: Tensor) -> Tensor:
        """Compute probabilities [B, K]."""
        return class_logits(outputs).softmax(dim=1)

    def scores(self) -> MetricCollection:
        """Build AUC and accuracy."""
        num_classes = len(self.class_weights)
        accuracy = MulticlassAccuracy(num_classes, average="micro")
        return MetricCollection({"val_auc": MulticlassAUROC(num_classes), "val_accuracy": accuracy})


class MeasureObjective(nn.Module):
    """Squared error in standard deviations of the training rows.

    Args:
        scaling: Standard deviation and mean of the training rows, [1, 2].
    """

    def __init__(self, scaling: np.ndarray) -> None:
        super().__init__()
        self.scale, self.mean = map(float, scaling[0])

    def guessing(self, targets: np.ndarray) -> float:
        """Compute the loss where the mean of the training rows is predicted, whatever the subject."""
        return float(np.square((targets - self.mean) / self.scale).mean())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute the mean squared error of outputs [B, 1]."""
        return self.losses(outputs, targets)[0].mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the squared error of each row [B]; all weigh the same."""
        wanted = ((targets - self.mean) / self.scale).float()
        return (outputs[:, 0].float() - wanted).square(), torch.ones_like(wanted)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Compute values in the unit of the measure [B]."""
        return outputs[:, 0] * self.scale + self.mean

    def scores(self) -> MetricCollection:
        """Build the mean absolute error and the explained variance."""
        return MetricCollection({"val_mae": MeanAbsoluteError(), "val_r2": _ExplainedVariance()})


class _ExplainedVariance(R2Score):
    """R², which is not defined for a single validation row."""

    def compute(self) -> Tensor:
        """Compute it, NaN where there are fewer than two rows."""
        return super().compute() if self.total >= 2 else torch.tensor(math.nan, device=self.device)


def class_logits(outputs: Tensor) -> Tensor:
    """Turn a network's output into one logit per class.

    A binary network gives one logit, of the second class; against 0 for the first, softmax is the sigmoid.

    Args:
        outputs: [B, 1] or [B, K].

    Returns:
        [B, K], K >= 2.

    >>> class_logits(torch.tensor([[2.0]]))
    tensor([[0., 2.]])
    """
    return torch.cat([torch.zeros_like(outputs), outputs], dim=1) if outputs.shape[1] == 1 else outputs
