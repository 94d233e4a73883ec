"""The position-wise feed-forward block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from transformer.layers.dropout import Dropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,                                     # Hendrycks & Gimpel 2016
    "gelu-tanh": partial(F.gelu, approximate="tanh"),   # its approximation, GPT-2's
    "relu": F.relu,                                     # Vaswani et al. 2017
    "swiglu": F.silu,                                   # Shazeer 2020: of a gate that multiplies the inner map
}


class FeedForward(nn.Module):
    """Two linear maps with a bend between them (Vaswani et al. 2017, section 3.3), the inner one gated for ``swiglu``.

    Args:
        d_model: width of the residual stream.
        d_ff: width inside.
        activation: ``gelu``, ``gelu-tanh``, ``relu`` or ``swiglu``.
        dropout: share of the inner activations dropped in training.
    """

    def __init__(self, *, d_model: int, d_ff: int, activation: str = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.gate = nn.Linear(d_model, d_ff) if activation == "swiglu" else None
        self.output = nn.Linear(d_ff, d_model)
        self.dropout = Dropout(dropout)
        self.bend = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """Map each position by itself. *Shape:* ``(..., d_model)`` in and out."""
        inner = self.inner(x)                                                                   # (B, L, d_ff)
        bent = self.bend(inner) if self.gate is None else inner * self.bend(self.gate(x))       # (B, L, d_ff)
        mapped: Tensor = self.output(self.dropout(bent))                                        # (B, L, d_model)
        return mapped
