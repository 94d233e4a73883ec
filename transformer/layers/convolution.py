"""Convolutions over neighbouring tokens, applied before the first layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.layers.dropout import Dropout


class Convolutions(nn.Module):
    """Convolutions of several widths (Kim 2014), concatenated and projected as one residual branch.

    They give an encoder the local word order that n-gram models use. The output projection is initialised to zero, so
    that the untrained branch is the identity. Padding counts as zeros.

    Args:
        d_model: width of the residual stream.
        widths: kernel sizes in tokens; odd.
        dropout: dropout probability of the branch's output.
        norm_eps: epsilon of the layer norm before the branch.
    """

    def __init__(self, *, d_model: int, widths: Sequence[int], dropout: float = 0.0, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model, eps=norm_eps)
        self.filters = nn.ModuleList(nn.Conv1d(d_model, d_model, width, padding=width // 2) for width in widths)
        self.output = nn.Linear(len(widths) * d_model, d_model)
        self.dropout = Dropout(dropout)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, *, padding_mask: Tensor) -> Tensor:
        """Add the output of the convolutions to each token.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            padding_mask: True for real tokens. *Shape:* ``(batch, length)``, bool.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        tokens = (self.norm(x) * padding_mask[..., None]).transpose(1, 2)                   # (B, d_model, L)
        features = torch.cat([F.gelu(conv(tokens)) for conv in self.filters], dim=1)        # (B, n d_model, L)
        branch: Tensor = self.dropout(self.output(features.transpose(1, 2)))                # (B, L, d_model)
        return x + branch
