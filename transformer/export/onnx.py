"""Conversion of models to ONNX graphs with dynamic batch size and length.

The graph is traced while the model computes an example. It cannot contain data-dependent control flow, so that
positions are read from tables, and the layers are called one by one instead of by :meth:`Stack.forward`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.table.paths import utf8_path
from transformer.export.huggingface import projected_table
from transformer.kernels import engine
from transformer.layers.positions import RotaryPositions, ScorePositions
from transformer.models.feature_branch import FeatureBranch
from transformer.models.models import LanguageModel, MaskedLanguageModel, TransformerModel
from transformer.models.ngram_branch import NgramBranch, by_label
from transformer.models.outputs import Encoded
from transformer.models.stack import Stack, attention_mask

OPSET = 18
"""Version of the operators of ONNX (2022)."""

IDS, TYPES, NGRAMS, COUNTS, FEATURES, LOGITS = (
    "input_ids", "token_type_ids", "ngram_buckets", "ngram_counts", "feature_buckets", "logits")


@dataclass(frozen=True)
class Combination:
    """How the scores of a Transformer and of a linear branch are combined.

    Attributes:
        branch: the branch, if there is one.
        weights: weight of the log-probabilities of the Transformer, and of those of the branch.
        shift: added to the scores at the end. *Shape:* broadcasts to the scores.
    """

    branch: NgramBranch | FeatureBranch | None = None
    weights: tuple[float, float] = (1.0, 1.0)
    shift: Tensor | None = None


class Rows(nn.Module):
    """A table of vectors by index.

    Args:
        rows: *Shape:* ``(n_rows, width)``.
    """

    rows: Tensor

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rows", rows.detach().clone())

    def forward(self, indices: Tensor) -> Tensor:
        """Return the rows of indices. *Shape:* that of ``indices`` and ``width``."""
        return F.embedding(indices, self.rows)


class AddedRows(Rows):
    """Positions that are added to the embeddings, as a table."""

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:  # type: ignore[override]
        """Add the rows of positions to ``x``."""
        return x + F.embedding(positions, self.rows)


class RotaryRows(nn.Module):
    """Rotary positions as tables of cosines and sines.

    Args:
        positions: the module that computes them.
        n_positions: number of positions.
    """

    def __init__(self, positions: RotaryPositions, n_positions: int) -> None:
        super().__init__()
        every = torch.arange(n_positions)[None]
        made = positions(every, every)
        assert made.cos is not None
        assert made.sin is not None
        self.cos, self.sin = Rows(made.cos[0, 0]), Rows(made.sin[0, 0])                   # (n_positions, d_head)

    def forward(self, queries: Tensor, keys: Tensor) -> ScorePositions:
        """Return the angles of positions. *Shape:* ``(batch, length)``, int64."""
        return ScorePositions(cos=self.cos(queries)[:, None], sin=self.sin(queries)[:, None])


class TraceableEncoded(Encoded):
    """Output of a stack whose first token is selected without the number of texts."""

    @property
    def cls(self) -> Tensor:
        """Output of the last layer for the first token of each text. *Shape:* ``(batch, d_model)``."""
        first = self.padding_mask.int().argmax(dim=1)[:, None, None]                      # (B, 1, 1)
        return self.hidden.gather(1, first.expand(-1, 1, self.hidden.shape[-1]))[:, 0]


class Graph(nn.Module):
    """A model in the form that is traced.

    Args:
        model: a model with one stack; it is not changed.
        n_positions: number of positions that the graph has, the maximum length of its input.
        combination: how its scores are combined with those of a branch.
    """

    def __init__(
        self, model: TransformerModel | MaskedLanguageModel | LanguageModel, *, n_positions: int,
        combination: Combination = Combination(),
    ) -> None:
        super().__init__()
        self.model, self.combination = copy.deepcopy(model).eval(), combination
        stack: Any = self.model.decoder if isinstance(self.model, LanguageModel) else self.model.encoder
        self.has_token_types = stack.token_types is not None
        self.embedding = Rows(projected_table(stack.embedding))
        with torch.no_grad():
            learned = getattr(stack.positions, "weight", None)
            rows = stack.positions.rows(n_positions if learned is None else len(learned))
        if rows is not None:
            stack.positions = AddedRows(rows)
        if isinstance(stack.score_positions, RotaryPositions):
            stack.score_positions = RotaryRows(stack.score_positions, n_positions)
        branch = combination.branch
        if isinstance(branch, FeatureBranch):
            self.weight = Rows(F.pad(branch.weight, (0, 0, 0, 1)))  # a row of zeros for positions without a feature
        elif branch is not None:
            self.idf, self.weight = Rows(branch.idf[:, None]), Rows(branch.weight)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in the order of the arguments."""
        branch = self.combination.branch
        of_branch = [FEATURES] if isinstance(branch, FeatureBranch) else [NGRAMS, COUNTS] if branch is not None else []
        return [IDS, *([TYPES] if self.has_token_types else []), *of_branch]

    def forward(self, *arguments: Tensor) -> Tensor:
        """Compute the scores of the model, combined with those of its branch."""
        given = dict(zip(self.inputs, arguments, strict=True))
        scores = self._scores(given[IDS], given.get(TYPES))
        of_branch = self._branch_scores(given)
        if of_branch is not None:
            a, b = self.combination.weights
            scores = a * scores.log_softmax(dim=-1) + b * of_branch
        return scores if self.combination.shift is None else scores + self.combination.shift

    def _scores(self, ids: Tensor, token_types: Tensor | None) -> Tensor:
        model: Any = self.model
        if isinstance(model, LanguageModel):
            scores: Tensor = model.output(self._encoded(model.decoder, ids, None).hidden, model.decoder.embedding)
        elif isinstance(model, MaskedLanguageModel):
            scores = model.head(self._encoded(model.encoder, ids, token_types).hidden, model.encoder.embedding)
        else:
            scores = model.head(self._encoded(model.encoder, ids, token_types))
        return scores

    def _encoded(self, stack: Stack, ids: Tensor, token_types: Tensor | None) -> Encoded:
        """Compute :meth:`Stack.forward <transformer.models.stack.Stack.forward>` for padding on either side."""
        mask = ids != 0                                                                   # (B, L)
        is_first = torch.arange(ids.shape[1], device=ids.device)[None] == 0               # (1, L)
        mask = mask | (is_first & ~mask.any(dim=1, keepdim=True))                         # an empty text keeps one
        positions = (mask.long().cumsum(dim=1) - 1).clamp(min=0)                          # (B, L)
        embedded = self.embedding(ids)                                                    # (B, L, d_embedding)
        x = stack.embed(embedded, positions, token_types)
        if stack.convolutions is not None:
            x = stack.convolutions(x, padding_mask=mask)
        allowed = attention_mask(mask, n_queries=ids.shape[1], causal=stack.causal)
        inside = None if stack.score_positions is None else stack.score_positions(positions, positions)
        for layer in stack.layers:
            x = layer(x, mask=allowed, positions=inside)
        return TraceableEncoded(stack.norm(x), stack.project(embedded), mask, token_types)

    def _branch_scores(self, given: Mapping[str, Tensor]) -> Tensor | None:
        """Compute the log-probabilities of the branch. *Shape:* that of the scores."""
        branch = self.combination.branch
        if branch is None:
            return None
        if isinstance(branch, FeatureBranch):
            logits = self.weight(given[FEATURES]).sum(dim=2) + branch.bias                # (B, L, n_tags)
            of_words: Tensor = logits.log_softmax(dim=-1)
            return of_words
        buckets, counts = given[NGRAMS], given[COUNTS]                                    # (B, K)
        tfidf = (counts > 0) * (counts.clamp(min=1).log() + 1) * self.idf(buckets)[..., 0]  # (B, K)
        in_characters = (buckets >= len(branch.idf) // 2).to(tfidf)                       # (B, K)
        weights = torch.zeros_like(tfidf)
        for family in (1 - in_characters, in_characters):                                 # each has length 1
            of_family = tfidf * family
            weights = weights + of_family / of_family.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-30)
        summed = (weights[..., None] * self.weight(buckets)).sum(dim=1)                   # (B, n_outputs)
        of_texts: Tensor = by_label(summed + branch.bias).log_softmax(dim=-1)             # (B, n_labels)
        return of_texts


def save_onnx(graph: Graph, path: Path) -> None:
    """Write a model as an ONNX file of the operators :data:`OPSET`.

    Args:
        graph: the model.
        path: file to write.

    Raises:
        ImportError: if the package onnx is not installed.
    """
    names = graph.inputs
    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: "length"} for name in names}
    axes |= {name: {0: "batch", 1: "n-grams"} for name in (NGRAMS, COUNTS) if name in names}
    if FEATURES in names:
        axes[FEATURES][2] = "features"
    arguments = _example(graph)
    with torch.no_grad(), engine.use(engine.TORCH):
        per_token = graph(*arguments).dim() == 3
        axes[LOGITS] = {0: "batch", 1: "length"} if per_token else {0: "batch"}
        with _without_warnings(), utf8_path(path.parent) as folder:
            torch.onnx.export(graph, arguments, str(folder / path.name), dynamo=False, opset_version=OPSET,
                              input_names=names, output_names=[LOGITS], dynamic_axes=axes)


def _example(graph: Graph) -> tuple[Tensor, ...]:
    """Return the input for which the graph is traced: padding on both sides, so that no mask is all True."""
    ids = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0]])
    types = torch.tensor([[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1, 1], [0, 1, 1, 0, 0, 0, 0]])
    buckets = torch.tensor([[0, 1, 0], [1, 0, 0], [1, 1, 0]])
    made = {IDS: ids, TYPES: types, NGRAMS: buckets, COUNTS: torch.tensor([[1.0, 2, 0], [1, 1, 1], [3, 0, 0]]),
            FEATURES: torch.zeros(3, 7, 4, dtype=torch.long)}
    return tuple(made[name] for name in graph.inputs)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the warnings of the exporter: about its age, and about shapes, which are checked by comparison."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
