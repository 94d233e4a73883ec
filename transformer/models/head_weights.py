"""Attention weights by head, and the QK and OV circuits.

Names follow Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits". Vectors are rows:
``x @ W_Q[layer, head] + b_Q[layer, head]`` is the query of a head. Layer norms are not folded into the weights.
"""
# ruff: noqa: N802  (W_Q and the others are established names)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from transformer.errors import TransformerError
from transformer.layers.attention import MultiHeadAttention


class HeadWeights(ABC):
    """Base class of models with attention layers, and of lists of attention layers."""

    @abstractmethod
    def attentions(self) -> list[MultiHeadAttention]:
        """Return the attention layers, lowest first."""

    @property
    def W_Q(self) -> Tensor:
        """Map from the residual stream to queries. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.query.weight for layer in self.attentions()).mT

    @property
    def W_K(self) -> Tensor:
        """Map from the residual stream to keys. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.key.weight for layer in self.attentions()).mT

    @property
    def W_V(self) -> Tensor:
        """Map from the residual stream to values. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.value.weight for layer in self.attentions()).mT

    @property
    def W_O(self) -> Tensor:
        """Map from values to the residual stream. *Shape:* ``(layers, heads, d_head, d_model)``."""
        return self._by_head(layer.output.weight.T for layer in self.attentions())

    @property
    def b_Q(self) -> Tensor:
        """Bias of the queries. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.query.bias for layer in self.attentions())

    @property
    def b_K(self) -> Tensor:
        """Bias of the keys. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.key.bias for layer in self.attentions())

    @property
    def b_V(self) -> Tensor:
        """Bias of the values. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.value.bias for layer in self.attentions())

    @property
    def b_O(self) -> Tensor:
        """Bias of the output, shared by the heads of a layer. *Shape:* ``(layers, d_model)``."""
        return torch.stack([layer.output.bias for layer in self.attentions()])

    @property
    def QK(self) -> Tensor:
        """The QK circuit ``W_Q W_K^T``, which determines the attention scores, without positions.

        *Shape:* ``(layers, heads, d_model, d_model)``.
        """
        return self.W_Q @ self.W_K.mT

    @property
    def OV(self) -> Tensor:
        """The OV circuit ``W_V W_O``: the output for an attended token.

        *Shape:* ``(layers, heads, d_model, d_model)``.
        """
        return self.W_V @ self.W_O

    def _by_head(self, weights: Iterable[Tensor]) -> Tensor:
        """Stack the weights of all layers, and split their first dimension by head."""
        layers = self.attentions()
        if not layers:
            raise TransformerError("no attention layers: only the decoder of an encoder-decoder has cross-attention")
        return torch.stack([weight.reshape(layers[0].n_heads, -1, *weight.shape[1:]) for weight in weights])


class Attentions(HeadWeights):
    """A list of attention layers.

    Args:
        layers: attention layers, lowest first.
    """

    def __init__(self, layers: Sequence[MultiHeadAttention]) -> None:
        self._layers = list(layers)

    def attentions(self) -> list[MultiHeadAttention]:
        """Return the layers, lowest first."""
        return self._layers


def product_spectrum(left: Tensor, right: Tensor) -> Tensor:
    """Compute the singular values of ``left @ right``, largest first, from a product of size ``(d_head, d_head)``.

    With the QR decompositions ``left = Q R`` and ``right^T = P S`` they are the singular values of ``R S^T``.

    Args:
        left: *Shape:* ``(..., d_model, d_head)``.
        right: *Shape:* ``(..., d_head, d_model)``.

    Returns:
        *Shape:* ``(..., d_head)``.
    """
    inner = torch.linalg.qr(left, mode="r").R @ torch.linalg.qr(right.mT, mode="r").R.mT     # (..., d_head, d_head)
    values: Tensor = torch.linalg.svdvals(inner)
    return values


def effective_rank(spectrum: Tensor) -> float:
    """Compute the effective rank: the exponential of the entropy of the normalised singular values.

    Roy & Vetterli (2007), "The effective rank: A measure of effective dimensionality".

    Args:
        spectrum: singular values. *Shape:* ``(n,)``.

    Returns:
        From 1 to ``n``; 0 if all singular values are 0.
    """
    total = float(spectrum.sum())
    return float(torch.special.entr(spectrum.double() / total).sum().exp()) if total else 0.0
