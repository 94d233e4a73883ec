"""The embedding layer, initialised from a table of word vectors: scale, projection, freezing, unseen words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import row_blocks
from transformer.config import EmbeddingConfig
from transformer.errors import TransformerError


class TokenEmbedding(nn.Module):
    """Embedding matrix with an optional projection to the model's width.

    Row 0 is padding: zero, without a gradient. Row 1 is the unknown token, initialised to the mean of the table. Start,
    end and mask are drawn from a normal distribution with the table's mean and standard deviation. The rows of the
    table's words follow. Rows appended by :meth:`extend` are looked up but never trained.

    Args:
        n_words: number of words of the table.
        dim: width of the table.
        d_model: width of the model; if it differs from ``dim``, a linear projection without bias is added.
        freeze: do not train the word vectors; the projection is trained.

    Attributes:
        sparse: the gradient holds the rows of the batch only (:mod:`transformer.training.sparse_adamw`).
        projected: all rows, projected, inside a :func:`projected_once` block. *Shape:* ``(n_rows, d_model)``.
    """

    sparse: bool = False
    projected: Tensor | None = None
    extension: Tensor
    table_scale: Tensor

    def __init__(self, *, n_words: int, dim: int, d_model: int, freeze: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(N_SPECIAL + n_words, dim), requires_grad=not freeze)
        if not freeze:
            self.weight.register_post_accumulate_grad_hook(_clear_padding_grad)  # type: ignore[no-untyped-call]
        self.projection = nn.Linear(dim, d_model, bias=False) if dim != d_model else nn.Identity()
        if isinstance(self.projection, nn.Linear):
            nn.init.orthogonal_(self.projection.weight, gain=max(1.0, (d_model / dim) ** 0.5))  # keeps the scale
        self.register_buffer("extension", torch.empty(0, dim), persistent=False)
        self.register_buffer("table_scale", torch.ones(()))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if self.weight.requires_grad:  # copies of a parameter lose its hooks
            self.weight.register_post_accumulate_grad_hook(_clear_padding_grad)  # type: ignore[no-untyped-call]

    @classmethod
    def from_table(cls, table: EmbeddingTable, *, d_model: int, config: EmbeddingConfig) -> TokenEmbedding:
        """Initialise the layer from a table.

        Raises:
            TransformerError: if the table is to be rescaled but is empty or constant.
        """
        layer = cls(n_words=len(table), dim=table.dim, d_model=d_model, freeze=config.freeze)
        with torch.no_grad():
            layer.table_scale.fill_(scale_factor(table, config))
            rows = layer.weight[N_SPECIAL:]                             # (n_words, dim), a view
            for place, (block,) in row_blocks(table.vectors):           # large tables are read from a file
                rows[place] = layer.table_scale * torch.tensor(block)
            if len(rows):
                mean, std = rows.mean(dim=0), rows.std(dim=0, correction=0)
                noise = torch.randn(N_SPECIAL - 2, table.dim, generator=torch.Generator().manual_seed(N_SPECIAL))
                layer.weight[1], layer.weight[2:N_SPECIAL] = mean, mean + std * noise
        return layer

    def extend(self, table: EmbeddingTable) -> None:
        """Append words outside the training data, with vectors as their source returned them; replaces earlier ones."""
        self.extension = self.table_scale * torch.tensor(table.vectors).to(self.weight)  # ids follow the trained ones

    def forward(self, ids: Tensor) -> Tensor:
        """Look up and project.

        Args:
            ids: *Shape:* any, integers.

        Returns:
            float32. *Shape:* that of ``ids`` and ``d_model``.
        """
        if self.projected is not None:
            return F.embedding(ids, self.projected)
        if self.training or not len(self.extension):
            vectors = F.embedding(ids, self.weight, sparse=self.sparse)                     # (B, L, dim)
        else:
            n_trained = len(self.weight)
            vectors = F.embedding(ids.clamp(max=n_trained - 1), self.weight)                # (B, L, dim)
            unseen = ids >= n_trained                                                       # (B, L)
            vectors[unseen] = self.extension[ids[unseen] - n_trained]
        projected: Tensor = self.projection(vectors).to(self.weight)                        # (B, L, d_model)
        return projected

    def scores(self, hidden: Tensor) -> Tensor:
        """Multiply by the transposed embedding matrix: the tied output layer (Press & Wolf 2017).

        A projection is applied transposed. Rows of an extension have no score.

        Args:
            hidden: *Shape:* ``(..., d_model)``.

        Returns:
            *Shape:* ``(..., 5 + n_words)``.
        """
        if isinstance(self.projection, nn.Linear):
            hidden = hidden @ self.projection.weight                                        # (..., dim)
        return F.linear(hidden, self.weight)                                                # (..., 5 + n_words)


@contextmanager
def projected_once(model: nn.Module, n_ids: int) -> Iterator[None]:
    """Project all rows of the model's embedding matrices once, if at least as many ids will be looked up.

    Args:
        model: its weights must not change inside the block.
        n_ids: number of ids that will be looked up.
    """
    embeddings = [module for module in model.modules() if isinstance(module, TokenEmbedding)]
    for embedding in embeddings:
        if len(embedding.weight) + len(embedding.extension) <= n_ids:
            rows = torch.cat([embedding.weight, embedding.extension])
            embedding.projected = embedding.projection(rows).to(embedding.weight)
    try:
        yield
    finally:
        for embedding in embeddings:
            embedding.projected = None


def _clear_padding_grad(weight: Tensor) -> None:
    """Set the gradient of the padding row to zero; ``padding_idx`` takes longer, as it copies the other rows."""
    if weight.grad is not None and weight.grad.is_sparse:
        weight.grad = weight.grad.coalesce()  # rows in ascending order
        weight.grad.values()[:1] *= weight.grad.indices()[0, :1, None] != 0
    elif weight.grad is not None:
        weight.grad[0] = 0.0


def scale_factor(table: EmbeddingTable, config: EmbeddingConfig) -> float:
    """Compute the factor that brings a table to the standard deviation of ``config.scale``.

    ``xavier`` is the standard deviation of Glorot & Bengio's (2010) initialisation for a matrix of the table's shape.

    Raises:
        TransformerError: if the table is empty or constant.
    """
    if config.scale == "none":
        return 1.0
    std = table.spread
    if std < 1e-38:  # its reciprocal is not a float32 number
        raise TransformerError(f"{table.source}: constant vectors cannot be scaled; set embedding.scale=none")
    xavier = math.sqrt(2 / (len(table) + table.dim))
    return (xavier if config.scale == "xavier" else config.matched_spread() or 1.0) / std
