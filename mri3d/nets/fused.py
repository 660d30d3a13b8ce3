"""A network of volumes with a few columns of the table put in before its last layers."""

import torch
from torch import Tensor, nn

NUM_FEATURES = 16
"""What the network of the volumes is asked for in place of outputs."""

WIDTH = 32
"""Of the hidden layer in which features and columns meet."""


class Fused(nn.Module):
    """Features of a volume and columns of the table, joined by a hidden layer, beside a linear model of the columns.

    outputs = linear(columns) + last(relu(joint([features, columns])))

    At the start `last` is 0, so that training begins with the linear model, whose weights may be set to those of a
    regression on the columns alone: what the image is worth is learnt on top of it.

    Args:
        network: Maps volumes [B, C, X, Y, Z] to features [B, num_features].
        num_columns: Q.
        num_outputs: D.
        num_features: Of the network.

    >>> fused = Fused(nn.Sequential(nn.Flatten(), nn.LazyLinear(NUM_FEATURES)), 3, 2)
    >>> fused(torch.zeros(5, 1, 7, 8, 9), torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, network: nn.Module, num_columns: int, num_outputs: int, *, num_features: int = NUM_FEATURES
    ) -> None:
        super().__init__()
        self.network = network
        self.joint = nn.Linear(num_features + num_columns, WIDTH)
        self.last = nn.Linear(WIDTH, num_outputs)
        self.linear = nn.Linear(num_columns, num_outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def cam_layer(self) -> nn.Module | None:
        """The network's own layer for Grad-CAM; None where it names none."""
        return getattr(self.network, "cam_layer", None)

    @property
    def of_volumes(self) -> nn.Module:
        """The part that volumes go through."""
        return self.network

    def forward(self, volumes: Tensor, columns: Tensor | None = None) -> Tensor:
        """Map volumes [B, C, X, Y, Z] and columns [B, Q], 0 where none are given, to outputs [B, D]."""
        if columns is None:  # an average session
            columns = volumes.new_zeros(len(volumes), self.linear.in_features)
        features = self.network(volumes)  # [B, F]
        columns = columns.to(features.dtype)
        hidden = torch.relu(self.joint(torch.cat([features, columns], dim=1)))
        outputs: Tensor = self.linear(columns) + self.last(hidden)  # [B, D]
        return outputs


class OfOneSession(nn.Module):
    """A fused network as a network of volumes alone, for maps of one session.

    Args:
        fused: The network.
        columns: Of the session, [Q].
    """

    def __init__(self, fused: Fused, columns: Tensor) -> None:
        super().__init__()
        self.fused, self.columns = fused, columns

    @property
    def cam_layer(self) -> nn.Module | None:
        """The layer for Grad-CAM."""
        return self.fused.cam_layer

    @property
    def of_volumes(self) -> nn.Module:
        """The part that volumes go through."""
        return self.fused.of_volumes

    def forward(self, volumes: Tensor) -> Tensor:
        """Map volumes [B, C, X, Y, Z] to outputs [B, D]."""
        columns = self.columns.to(volumes.device, volumes.dtype).expand(len(volumes), -1)
        outputs: Tensor = self.fused(volumes, columns)
        return outputs
