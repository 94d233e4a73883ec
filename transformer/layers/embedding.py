"""From a table of word vectors to the embedding layer: scale, projection, freezing, words met after training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.table import EmbeddingTable
from transformer.config import EmbeddingConfig
from transformer.errors import TransformerError


class TokenEmbedding(nn.Module):
    """Looks each word's vector up and brings it to the model's width.

    Row 0 is padding: zero, and without a gradient, so that it stays zero. Row 1 is the unknown word, at first the mean
    of the table. Start, end and mask are drawn around that mean with the table's spread. The rows of the table's words
    follow. Rows appended by :meth:`extend` are looked up but never trained.

    Args:
        n_words: words of the table.
        dim: width of the table.
        d_model: width of the model; a linear projection without bias is put in between when it differs.
        freeze: leave the word vectors untrained (the projection is trained all the same).

    Attributes:
        sparse: the gradient of the table holds the rows of the batch only (:mod:`transformer.training.sparse_adamw`).
        projected: all rows and those of the extension, of width d_model, within :func:`projected_once`.
    """

    sparse: bool = False
    projected: Tensor | None = None
    extension: Tensor
    table_scale: Tensor

    def __init__(self, *, n_words: int, dim: int, d_model: int, freeze: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(N_SPECIAL + n_words, dim), requires_grad=not freeze)
        if not freeze:
            self.weight.register_post_accumulate_grad_hook(_keep_padding)  # type: ignore[no-untyped-call]
        self.projection = nn.Linear(dim, d_model, bias=False) if dim != d_model else nn.Identity()
        if isinstance(self.projection, nn.Linear):
            nn.init.orthogonal_(self.projection.weight, gain=max(1.0, (d_model / dim) ** 0.5))  # keeps the spread
        self.register_buffer("extension", torch.empty(0, dim), persistent=False)
        self.register_buffer("table_scale", torch.ones(()))

    @classmethod
    def from_table(cls, table: EmbeddingTable, *, d_model: int, config: EmbeddingConfig) -> TokenEmbedding:
        """Make the layer that starts from a table.

        Raises:
            TransformerError: if the table has no scale (no word, or vectors all the same) but is to be brought to one.
        """
        layer = cls(n_words=len(table), dim=table.dim, d_model=d_model, freeze=config.freeze)
        factor = scale_factor(table, config)
        rows = factor * torch.tensor(table.vectors)                     # (n_words, dim), a copy
        with torch.no_grad():
            if len(rows):
                mean, spread = rows.mean(dim=0), rows.std(dim=0, correction=0)
                noise = torch.randn(N_SPECIAL - 2, table.dim, generator=torch.Generator().manual_seed(N_SPECIAL))
                layer.weight[1] = mean
                layer.weight[2:N_SPECIAL] = mean + spread * noise
            layer.weight[N_SPECIAL:] = rows
            layer.table_scale.fill_(factor)
        return layer

    def extend(self, table: EmbeddingTable) -> None:
        """Append words that were not trained on, at the scale of those that were; replaces an earlier extension.

        Args:
            table: the words' vectors as their source gave them. Their ids follow the last trained one.
        """
        self.extension = self.table_scale * torch.tensor(table.vectors).to(self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Look words up.

        Args:
            ids: *Shape:* ``(batch, length)``, integers.

        Returns:
            *Shape:* ``(batch, length, d_model)``, float32.
        """
        if self.projected is not None:
            return F.embedding(ids, self.projected)
        if self.training or not len(self.extension):
            vectors = F.embedding(ids, self.weight, padding_idx=0, sparse=self.sparse)      # (B, L, dim)
        else:
            n_trained = len(self.weight)
            vectors = F.embedding(ids.clamp(max=n_trained - 1), self.weight)                # (B, L, dim)
            unseen = ids >= n_trained                                                       # (B, L)
            vectors[unseen] = self.extension[ids[unseen] - n_trained]
        projected: Tensor = self.projection(vectors).to(self.weight)                        # (B, L, d_model)
        return projected

    def rows(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, but of the vectors a table that has them and their rows in it: nothing may be copied.

        Args:
            ids: *Shape:* ``(n,)``, integers.

        Returns:
            *Shape:* ``(n_rows, d_model)`` float32, and ``(n,)`` int64.
        """
        if self.projected is not None:
            return self.projected, ids
        return self(ids), torch.arange(len(ids))

    def scores(self, hidden: Tensor) -> Tensor:
        """How well each row of the table fits: the output layer that is tied to it (Press & Wolf 2017).

        The projection, if there is one, is gone through backwards. Rows of an extension have no score.

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
    """Let the model's word embeddings project all their rows at once, if no more than are about to be looked up.

    Args:
        model: its weights must not change within the block.
        n_ids: how many words will be looked up.
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


def _keep_padding(weight: Tensor) -> None:
    """Take the gradient of the padding row away, which a tied output layer gives it."""
    if weight.grad is not None and not weight.grad.is_sparse:
        weight.grad[0] = 0.0


def scale_factor(table: EmbeddingTable, config: EmbeddingConfig) -> float:
    """What a table is multiplied by, so that its entries have the spread that the configuration asks for.

    ``xavier`` is the spread of Glorot & Bengio's (2010) initialisation of a matrix of the table's shape.

    Raises:
        TransformerError: if the table has no word, or vectors that are all the same.
    """
    if config.scale == "none":
        return 1.0
    spread = float(table.vectors.std()) if len(table) else 0.0
    if not spread:
        raise TransformerError(
            f"{table.source}: vectors without spread cannot be brought to {config.scale!r}; set embedding.scale=none"
        )
    xavier = math.sqrt(2 / (len(table) + table.dim))
    wanted = xavier if config.scale == "xavier" else config.matched_spread() or 1.0
    return wanted / spread
