"""Position encodings: added to the embeddings (sinusoidal, learned), or inside attention (rotary, ALiBi)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transformer.config import ModelConfig
from transformer.errors import TransformerError


class NoPositions(nn.Module):
    """Add nothing to the embeddings."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Return the embeddings unchanged. *Shape:* ``(batch, length, d_model)``."""
        return x

    def rows(self, length: int) -> None:
        """Return None: there is no encoding."""


class SinusoidalPositions(nn.Module):
    """Add the sinusoidal position encoding (Vaswani et al. 2017, section 3.5).

    Column ``2i`` is ``sin(p / 10000^(2i / d_model))`` at position ``p``, and column ``2i + 1`` is the cosine.

    Args:
        d_model: width of the embeddings; even.
        scale: factor of the encoding, whose root mean square is 0.707.
    """

    encoding: Tensor

    def __init__(self, *, d_model: int, scale: float = 1.0) -> None:
        super().__init__()
        self.d_model, self.scale = d_model, scale
        self.register_buffer("encoding", torch.empty(0, d_model), persistent=False)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add to every embedding the encoding of its position.

        Args:
            x: *Shape:* ``(batch, length, d_model)``; any length.
            positions: from 0. *Shape:* ``(batch or 1, length)``, int64.

        Returns:
            *Shape:* ``(batch, length, d_model)``.
        """
        return x + self.rows(int(positions.max()) + 1).to(x)[positions]

    def rows(self, length: int) -> Tensor:
        """Return the encoding of positions 0 to ``length - 1``. *Shape:* ``(length, d_model)``."""
        if length > len(self.encoding):
            self.encoding = self.scale * sinusoids(length, self.d_model).to(self.encoding)
        return self.encoding[:length]


class LearnedPositions(nn.Module):
    """Add a trained vector for every position (Gehring et al. 2017; BERT, GPT).

    Args:
        d_model: width of the embeddings.
        max_positions: number of positions that have a vector.
    """

    def __init__(self, *, d_model: int, max_positions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(max_positions, d_model))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add to every embedding the vector of its position; arguments as for :class:`SinusoidalPositions`.

        Raises:
            TransformerError: if a position has no vector.
        """
        self.rows(int(positions.max()) + 1)
        return x + F.embedding(positions, self.weight)

    def rows(self, length: int) -> Tensor:
        """Return the vectors of the first positions; raises as :meth:`forward`. *Shape:* ``(length, d_model)``."""
        if length > len(self.weight):
            raise TransformerError(f"a text has {length} tokens, but only {len(self.weight)} positions were learned: "
                                   "lower data.max_length, or train with a larger model.max_positions")
        return self.weight[:length]


class ScorePositions(NamedTuple):
    """What positions do inside attention: rotate queries and keys, add a bias to the scores, or neither.

    Attributes:
        cos: cosines of the angles by which queries and new keys are rotated.
            *Shape:* ``(batch or 1, 1, length, d_head)``.
        sin: sines of the same angles. *Shape:* as ``cos``.
        bias: added to the scores. *Shape:* ``(batch or 1, heads, length, n_keys)``.
    """

    cos: Tensor | None = None
    sin: Tensor | None = None
    bias: Tensor | None = None

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate the pairs of columns ``(i, i + d_head / 2)``. *Shape:* ``(batch, heads, length, d_head)``."""
        if self.cos is None or self.sin is None:
            return x
        first, second = x.chunk(2, dim=-1)
        return x * self.cos.to(x) + torch.cat([-second, first], dim=-1) * self.sin.to(x)


class RotaryPositions(nn.Module):
    """Rotate queries and keys by angles that grow with the position (Su et al. 2021, "RoFormer"). No weights.

    Args:
        d_head: width of a head; even.
    """

    rate: Tensor

    def __init__(self, *, d_head: int) -> None:
        super().__init__()
        rate = 10_000.0 ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)
        self.register_buffer("rate", rate, persistent=False)                              # (d_head / 2,)

    def forward(self, queries: Tensor, keys: Tensor) -> ScorePositions:
        """Compute the angles of the new tokens.

        Args:
            queries: positions of the new tokens. *Shape:* ``(batch or 1, length)``, int64.
            keys: positions of all keys; unused, since cached keys are rotated already.
        """
        angle = queries[:, None, :, None].double() * self.rate                            # (B or 1, 1, L, d_head / 2)
        angle = torch.cat([angle, angle], dim=-1)                                         # (B or 1, 1, L, d_head)
        return ScorePositions(cos=angle.cos().float(), sin=angle.sin().float())


class AlibiPositions(nn.Module):
    """Subtract from each score a multiple of the distance of query and key (Press et al. 2022, "ALiBi"). No weights.

    Head ``h`` of ``n`` has the slope ``2^(-8 (h + 1) / n)``. An encoder uses the distance in either direction.

    Args:
        n_heads: number of heads; if it is not a power of two, slopes are interpolated as in the paper's code.
    """

    slopes: Tensor

    def __init__(self, *, n_heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(alibi_slopes(n_heads)), persistent=False)     # (H,)

    def forward(self, queries: Tensor, keys: Tensor) -> ScorePositions:
        """Compute the bias of the scores.

        Args:
            queries: positions of the new tokens. *Shape:* ``(batch or 1, length)``, int64.
            keys: positions of all keys. *Shape:* ``(batch or 1, n_keys)``, int64.
        """
        distance = (queries[:, :, None] - keys[:, None, :]).abs()                         # (B or 1, L, K)
        return ScorePositions(bias=-self.slopes[:, None, None] * distance[:, None])       # (B or 1, H, L, K)


def alibi_slopes(n_heads: int) -> list[float]:
    """Compute the slope of each head (Press et al. 2022, section 3)."""
    whole: int = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (head + 1) / whole) for head in range(whole)]
    between = [2 ** (-8 * (head + 1) / (2 * whole)) for head in range(0, 2 * whole, 2)]
    return slopes + between[: n_heads - whole]


def make_positions(config: ModelConfig) -> NoPositions | SinusoidalPositions | LearnedPositions:
    """Make the module that adds positions to the embeddings."""
    if config.positions == "sinusoidal":
        return SinusoidalPositions(d_model=config.embedding_width, scale=config.position_scale)
    if config.positions == "learned":
        return LearnedPositions(d_model=config.embedding_width, max_positions=config.max_positions)
    return NoPositions()


def make_score_positions(config: ModelConfig) -> RotaryPositions | AlibiPositions | None:
    """Make the module of positions that act inside attention, if there are any."""
    if config.positions == "rotary":
        return RotaryPositions(d_head=config.d_head)
    return AlibiPositions(n_heads=config.n_heads) if config.positions == "alibi" else None


def sinusoids(length: int, d_model: int) -> Tensor:
    """Compute the sinusoidal encoding of positions 0 to ``length - 1``.

    Returns:
        float32. *Shape:* ``(length, d_model)``.
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]                        # (L, 1)
    rate = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)     # (d_model / 2,)
    angle = position * rate                                                              # (L, d_model / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()            # (L, d_model)
