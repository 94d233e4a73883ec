"""The position-wise feed-forward block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them (Vaswani et al. 2017, section 3.3; GELU: Hendrycks & Gimpel 2016).

    Args:
        d_model: width of the residual stream.
        d_ff: width inside.
        dropout: share of the inner activations dropped in training.
    """

    def __init__(self, *, d_model: int, d_ff: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.output = nn.Linear(d_ff, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map each position by itself. *Shape:* ``(batch, length, d_model)`` in and out."""
        inner = self.dropout(F.gelu(self.inner(x)))     # (B, L, d_ff)
        mapped: Tensor = self.output(inner)             # (B, L, d_model)
        return mapped
