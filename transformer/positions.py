"""Where a word stands in its text, as fixed waves of many lengths: computed, never trained, no weights at all."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SinusoidalPositions(nn.Module):
    """Adds the sinusoidal position encoding (Vaswani et al. 2017, section 3.5).

    Column ``2i`` is ``sin(p / 10000^(2i / d_model))`` at position ``p`` and column ``2i + 1`` the cosine.

    Args:
        d_model: width of the residual stream; even.
        scale: the encoding, whose root mean square is 0.707, is multiplied by this.
    """

    encoding: Tensor

    def __init__(self, *, d_model: int, scale: float = 1.0) -> None:
        super().__init__()
        self.d_model, self.scale = d_model, scale
        self.register_buffer("encoding", torch.empty(0, d_model), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add to every word the encoding of its place.

        Args:
            x: *Shape:* ``(batch, length, d_model)``; any length.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        length = x.shape[1]
        if length > len(self.encoding):
            self.encoding = self.scale * sinusoids(length, self.d_model).to(x)
        return x + self.encoding[:length]


def sinusoids(length: int, d_model: int) -> Tensor:
    """The encoding of positions 0 to ``length - 1``.

    Returns:
        float32. *Shape:* ``(length, d_model)``.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]                        # (L, 1)
    rate = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)     # (d_model / 2,)
    angle = position * rate                                                              # (L, d_model / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()            # (L, d_model)
