"""Where a word stands in its text: fixed waves (no weights at all), learned rows, or rotated queries and keys."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.errors import TransformerError


class NoPositions(nn.Module):
    """Adds nothing: the words are a bag, or attention rotates them (:class:`RotaryPositions`)."""

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Hand the words on as they are. *Shape:* ``(batch, length, d_model)`` in and out."""
        return x

    def rows(self, length: int) -> None:
        """Nothing."""


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

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Add to every word the encoding of its place.

        Args:
            x: *Shape:* ``(batch, length, d_model)``; any length.
            places: from 0. *Shape:* ``(batch or 1, length)``, int64.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        return x + self.rows(int(places.max()) + 1).to(x)[places]

    def rows(self, length: int) -> Tensor:
        """The encoding of the first places. *Shape:* ``(length, d_model)``."""
        if length > len(self.encoding):
            self.encoding = self.scale * sinusoids(length, self.d_model).to(self.encoding)
        return self.encoding[:length]


class LearnedPositions(nn.Module):
    """Adds a trained row for every place (Gehring et al. 2017; BERT, GPT).

    Args:
        d_model: width of the residual stream.
        max_positions: places that have a row.
    """

    def __init__(self, *, d_model: int, max_positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(max_positions, d_model))

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Add to every word the row of its place; as :meth:`SinusoidalPositions.forward`.

        Raises:
            TransformerError: if a place has no row.
        """
        self.rows(int(places.max()) + 1)
        return x + F.embedding(places, self.weight)

    def rows(self, length: int) -> Tensor:
        """The rows of the first places; raises as :meth:`forward`. *Shape:* ``(length, d_model)``."""
        if length > len(self.weight):
            raise TransformerError(f"a text of {length} words, but positions were learned for {len(self.weight)}: "
                                   "cut it with data.max_length, or train with a larger model.max_positions")
        return self.weight[:length]


Positions = NoPositions | SinusoidalPositions | LearnedPositions


class Rotation(NamedTuple):
    """The angles by which a query or key is turned: cosines and sines. *Shape:* ``(batch, 1, length, d_head)`` each."""

    cos: Tensor
    sin: Tensor

    def turn(self, x: Tensor) -> Tensor:
        """Turn the pairs of columns ``(i, i + d_head / 2)``. *Shape:* ``(batch, heads, length, d_head)`` in and out."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos.to(x) + torch.cat([-second, first], dim=-1) * self.sin.to(x)


class RotaryPositions(nn.Module):
    """Turns queries and keys by angles that grow with the place (Su et al. 2021, "RoFormer"): no weights.

    Args:
        d_head: width of a head; even.
    """

    rate: Tensor

    def __init__(self, *, d_head: int) -> None:
        super().__init__()
        rate = 10_000.0 ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)
        self.register_buffer("rate", rate, persistent=False)                              # (d_head / 2,)

    def forward(self, places: Tensor) -> Rotation:
        """The angles of places. *Shape:* ``(batch or 1, length)``, int64."""
        angle = places[:, None, :, None].double() * self.rate                             # (B or 1, 1, L, d_head / 2)
        angle = torch.cat([angle, angle], dim=-1)                                         # (B or 1, 1, L, d_head)
        return Rotation(angle.cos().float(), angle.sin().float())


def make_positions(config: ModelConfig) -> Positions:
    """What is added to the words for their places."""
    if config.positions == "sinusoidal":
        return SinusoidalPositions(d_model=config.d_model, scale=config.position_scale)
    if config.positions == "learned":
        return LearnedPositions(d_model=config.d_model, max_positions=config.max_positions)
    return NoPositions()


def sinusoids(length: int, d_model: int) -> Tensor:
    """The encoding of positions 0 to ``length - 1``.

    Returns:
        float32. *Shape:* ``(length, d_model)``.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]                        # (L, 1)
    rate = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)     # (d_model / 2,)
    angle = position * rate                                                              # (L, d_model / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()            # (L, d_model)
