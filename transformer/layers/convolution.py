"""Small convolutions: what neighbouring words say together, seen before any word looks further."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.layers.dropout import Dropout


class Convolutions(nn.Module):
    """Convolutions over a few words each (Kim 2014), side by side as one branch around a residual path.

    They give an encoder the local word order that an n-gram model sees for free. The branch begins at zero (its last
    projection does), so that an untrained one hands on the word vectors as they came. Padding counts as nothing.

    Args:
        d_model: width of the residual stream.
        widths: words that each convolution sees, odd: as many on either side.
        dropout: share of what the branch adds dropped in training.
        norm_eps: added to the variance in the layer norm before the branch.
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
        """Add to each word what it says with its neighbours.

        Args:
            x: *Shape:* ``(batch, length, d_model)``.
            padding_mask: True where there is a word. *Shape:* ``(batch, length)``, bool.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        words = (self.norm(x) * padding_mask[..., None]).transpose(1, 2)                    # (B, d_model, L)
        seen = torch.cat([F.gelu(one(words)) for one in self.filters], dim=1)               # (B, n d_model, L)
        added: Tensor = self.dropout(self.output(seen.transpose(1, 2)))                     # (B, L, d_model)
        return x + added
