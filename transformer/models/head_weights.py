"""The weights of attention head by head, by the names that the field gives them, and what two of them make together.

Names and circuits are those of Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits"; vectors are
rows, so that ``x @ W_Q[layer, head] + b_Q[layer, head]`` is a head's query. A norm before the branch is not folded in.
"""
# ruff: noqa: N802  (W_Q and the others keep the names that people know)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from transformer.errors import TransformerError
from transformer.layers.attention import MultiHeadAttention


class HeadWeights(ABC):
    """What has layers of attention: a stack's own, its layers' attention to another text, a model around a stack."""

    @abstractmethod
    def attentions(self) -> list[MultiHeadAttention]:
        """The layers of attention, the lowest first."""

    @property
    def W_Q(self) -> Tensor:
        """Residual stream to queries. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.query.weight for layer in self.attentions()).mT

    @property
    def W_K(self) -> Tensor:
        """Residual stream to keys. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.key.weight for layer in self.attentions()).mT

    @property
    def W_V(self) -> Tensor:
        """Residual stream to values. *Shape:* ``(layers, heads, d_model, d_head)``."""
        return self._by_head(layer.value.weight for layer in self.attentions()).mT

    @property
    def W_O(self) -> Tensor:
        """Values to the residual stream. *Shape:* ``(layers, heads, d_head, d_model)``."""
        return self._by_head(layer.output.weight.T for layer in self.attentions())

    @property
    def b_Q(self) -> Tensor:
        """Added to the queries. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.query.bias for layer in self.attentions())

    @property
    def b_K(self) -> Tensor:
        """Added to the keys. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.key.bias for layer in self.attentions())

    @property
    def b_V(self) -> Tensor:
        """Added to the values. *Shape:* ``(layers, heads, d_head)``."""
        return self._by_head(layer.value.bias for layer in self.attentions())

    @property
    def b_O(self) -> Tensor:
        """Added to what the heads of a layer write together. *Shape:* ``(layers, d_model)``."""
        return torch.stack([layer.output.bias for layer in self.attentions()])

    @property
    def QK(self) -> Tensor:
        """Which word looks at which: ``W_Q W_K^T``; rotary positions turn what stands between the two.

        *Shape:* ``(layers, heads, d_model, d_model)``.
        """
        return self.W_Q @ self.W_K.mT

    @property
    def OV(self) -> Tensor:
        """What a word that is looked at writes: ``W_V W_O``. *Shape:* ``(layers, heads, d_model, d_model)``."""
        return self.W_V @ self.W_O

    def _by_head(self, weights: Iterable[Tensor]) -> Tensor:
        """Stack layers whose first dimension is one head's after the other's."""
        layers = self.attentions()
        if not layers:
            raise TransformerError("no layer attends to another text: only a decoder with a memory has such weights")
        return torch.stack([weight.reshape(layers[0].n_heads, -1, *weight.shape[1:]) for weight in weights])


class Attentions(HeadWeights):
    """Layers of attention by themselves.

    Args:
        layers: the lowest first.
    """

    def __init__(self, layers: Sequence[MultiHeadAttention]) -> None:
        self._layers = list(layers)

    def attentions(self) -> list[MultiHeadAttention]:
        """Those given."""
        return self._layers


def product_spectrum(left: Tensor, right: Tensor) -> Tensor:
    """Singular values of ``left @ right`` by way of the small width between them, the largest first.

    With ``left = Q R`` and ``right^T = P S`` they are those of ``R S^T``.

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
    """The exponential of the entropy of singular values brought to sum 1 (Roy & Vetterli 2007); 0 if all are 0.

    Args:
        spectrum: 0 or more. *Shape:* ``(n,)``.
    """
    total = float(spectrum.sum())
    return float(torch.special.entr(spectrum.double() / total).sum().exp()) if total else 0.0
