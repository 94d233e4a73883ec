"""The position-wise feed-forward block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from transformer.layers.dropout import Dropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,                                     # Hendrycks & Gimpel 2016
    "gelu-tanh": partial(F.gelu, approximate="tanh"),   # GELU's tanh approximation, as in GPT-2
    "relu": F.relu,                                     # Vaswani et al. 2017
    "swiglu": F.silu,                                   # Shazeer 2020; applied to a gate
}


class FeedForward(nn.Module):
    """Two linear layers with an activation in between (Vaswani et al. 2017, section 3.3).

    Args:
        d_model: width of the residual stream.
        d_ff: width of the hidden layer.
        activation: ``gelu``, ``gelu-tanh``, ``relu`` or ``swiglu``; the last adds a gate.
        dropout: dropout probability of the activations.
    """

    def __init__(self, *, d_model: int, d_ff: int, activation: str = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.gate = nn.Linear(d_model, d_ff) if activation == "swiglu" else None
        self.output = nn.Linear(d_ff, d_model)
        self.dropout = Dropout(dropout)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position independently. *Shape:* ``(..., d_model)``."""
        inner = self.inner(x)                                                                   # (..., d_ff)
        activated = self.activation(inner) if self.gate is None else inner * self.activation(self.gate(x))
        output: Tensor = self.output(self.dropout(activated))                                   # (..., d_model)
        return output
