"""Inspect a finished run: its parameters and how far training moved them, its attention heads, and their attention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from embeddings.table.paths import written
from embeddings.tokenization.interface import TextTokenizer
from pipeline.data.features.batching import pad
from pipeline.errors import DataError, PipelineError, RunFolderError
from pipeline.runs import verification
from pipeline.runs.folder import RunFolder
from pipeline.runs.trained import TrainedRun, embedding_layers, load_run
from transformer.checkpoint import read_weights
from transformer.inspect.attention_record import AttentionRecord, blocks
from transformer.inspect.census import Entry, Movement, census, movement
from transformer.layers.attention import MultiHeadAttention
from transformer.layers.embedding import TokenEmbedding
from transformer.models.head_weights import Attentions, effective_rank, product_spectrum

N_MOVED = 10
SIDES = ("words", "target words")


@dataclass(frozen=True, eq=False)
class Inspection:
    """A finished run and its initial parameters.

    Attributes:
        trained: the run.
        start: every parameter before the first step, by name.
    """

    trained: TrainedRun
    start: Mapping[str, Tensor]

    @cached_property
    def census(self) -> list[Entry]:
        """All parameters, grouped by kind."""
        return census(self.trained.model, self.start)

    def moved(self, n: int = N_MOVED) -> dict[str, Movement]:
        """Return how far the vectors of each table moved, and the ``n`` words that moved most."""
        sides = zip(SIDES, embedding_layers(self.trained.model).items(), self.trained.stage_one.sides, strict=False)
        return {side: movement(self.start[name], layer.weight.detach(), stage_one.tokenizer.vocabulary(), n)
                for side, (name, layer), stage_one in sides}

    def to_json(self, n_words: int = N_MOVED) -> dict[str, Any]:
        """Return the parameters and the words that moved most, JSON-serialisable."""
        return {
            "parameters": [{**asdict(entry), "moved_share": entry.moved_share} for entry in self.census],
            "n_parameters": sum(entry.count for entry in self.census),
            "words_moved": {side: {**moved._asdict(), "most": [word._asdict() for word in moved.most]}
                            for side, moved in self.moved(n_words).items()},
        }


class Matrix(NamedTuple):
    """A matrix of a head, or a product of two.

    Attributes:
        shape: number of rows and columns.
        norm: Frobenius norm.
        spectrum: singular values in descending order; for a product as many as the width of the head.
        effective_rank: effective rank (Roy & Vetterli 2007).
    """

    shape: tuple[int, int]
    norm: float
    spectrum: tuple[float, ...]
    effective_rank: float


class Block(NamedTuple):
    """The attention of one kind for one text.

    Attributes:
        name: ``encoder``, ``decoder`` or ``cross``.
        words: tokens of the queries.
        seen: tokens of the keys.
        layers: recorded attention, the first layer first; the batch is one text.
    """

    name: str
    words: tuple[str, ...]
    seen: tuple[str, ...]
    layers: tuple[AttentionRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return attention patterns and query, key and value vectors of each head, one row per token."""
        return {"name": self.name, "words": self.words, "seen": self.seen, "layers": [
            {"heads": [
                {"attention": _rows(layer.pattern[0, head]), "query": _rows(layer.query[0, head]),
                 "key": _rows(layer.key[0, head]), "value": _rows(layer.value[0, head])}
                for head in range(layer.pattern.shape[1])]}
            for layer in self.layers]}


class InspectedText(NamedTuple):
    """A text, its prediction and its attention.

    Attributes:
        text: the text.
        context: second text, for tasks on pairs of texts.
        said: the prediction as one line of text.
        n_pieces: number of windows of the text; the attention is that of the first.
        blocks: the attention of each kind.
    """

    text: str
    context: str
    said: str
    n_pieces: int
    blocks: tuple[Block, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dictionary."""
        return {**self._asdict(), "blocks": [block.to_json() for block in self.blocks]}


def open_run(path: Path, *, unseen: bool = False, verify: bool = True) -> Inspection:
    """Load a finished run with its initial parameters.

    Args:
        path: the run folder.
        unseen: load the vectors of words that were not seen in training too, for inspecting texts.
        verify: check that the files have the SHA-256 that ``manifest.json`` lists.

    Raises:
        RunFolderError: if there is no finished run, or its initial parameters are missing.
        ConfigError, EmbeddingError, TransformerError: if one of its files is damaged.
    """
    trained = load_run(path, unseen=unseen, verify=verify)
    folder = RunFolder(path)
    if not folder.start.is_file():
        raise RunFolderError(f"{folder.start}: missing, so the initial parameters are unknown; repeat the run with: "
                             f"vecformer run {written(folder.config)} --out {written(path)} --overwrite")
    if verify:
        verification.verify(folder, [folder.start])
    start = read_weights(folder.start)
    config = trained.config
    for (name, _), side in zip(embedding_layers(trained.model).items(), trained.stage_one.sides, strict=True):
        layer = TokenEmbedding.from_table(side.start, d_model=config.model.embedding_width, config=config.embedding)
        start[name] = layer.weight.detach()
    return Inspection(trained, start)


def head_matrices(model: nn.Module, head: str) -> dict[str, Matrix]:
    """Return the four matrices of a head and its two circuits (Elhage et al. 2021).

    Args:
        model: a model with attention heads.
        head: ``L.H``, counted from 0; ``encoder.L.H``, ``decoder.L.H`` or ``cross.L.H`` if there are several kinds.

    Raises:
        PipelineError: if there is no such head; the message lists the valid ranges.
    """
    available = {name: heads.attentions() for name, heads in blocks(model).items()}
    match = re.fullmatch(r"(?:([a-z]+)\.)?([0-9]+)\.([0-9]+)", head)
    kind = (match[1] or (next(iter(available)) if len(available) == 1 else "")) if match else ""
    layers = available.get(kind, [])
    if match is None or int(match[2]) >= len(layers) or int(match[3]) >= layers[0].n_heads:
        ranges = (f"{name + '.' if len(available) > 1 else ''}L.H with L from 0 to {len(layers) - 1} and H from 0 to "
                  f"{layers[0].n_heads - 1}" for name, layers in available.items())
        raise PipelineError(f"--head {head}: no such head; the model has {', '.join(ranges)}")
    return matrices_of(layers[int(match[2])], int(match[3]))


def matrices_of(attention: MultiHeadAttention, head: int) -> dict[str, Matrix]:
    """Return ``W_Q``, ``W_K``, ``W_V``, ``W_O`` and the circuits ``QK`` and ``OV`` of one head of a layer."""
    weights = Attentions([attention])
    q, k, v, o = (stacked[0, head].detach() for stacked in (weights.W_Q, weights.W_K, weights.W_V, weights.W_O))
    single = {name: _matrix(matrix, torch.linalg.svdvals(matrix))
              for name, matrix in (("W_Q", q), ("W_K", k), ("W_V", v), ("W_O", o))}
    return single | {"QK": _matrix(q @ k.mT, product_spectrum(q, k.mT)), "OV": _matrix(v @ o, product_spectrum(v, o))}


def open_text(trained: TrainedRun, text: str, context: str = "") -> InspectedText:
    """Predict for a text and record the attention of every head.

    The input of a translation's decoder is the greedy translation of the model.

    Args:
        trained: a run, loaded with the vectors of unseen words.
        text: the text.
        context: second text, for tasks on pairs of texts.

    Raises:
        DataError: if the text has no token.
    """
    task, model = trained.task, trained.model
    prepared = trained.prepare([trained.example(text, context)])
    if not prepared.features or not len(prepared.features[0]):
        raise DataError(f"{text!r}: the text has no word; use one with at least one word")
    prediction = task.predict(model, prepared, trained.setup)[0]
    first, tokenizers = prepared.features[0], prepared.tokenizers
    ids = pad([first.ids]).to(trained.embedding.weight.device)
    token_types = None if first.token_types is None else pad([first.token_types]).to(ids.device)
    with torch.inference_mode():
        trace = task.trace(model, ids, token_types, trained.setup)
    source = _tokens(trace.source, tokenizers.source)
    target = _tokens(trace.target, tokenizers.target or tokenizers.source)
    of = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    return InspectedText(text, context, task.show(prepared.examples[0], prediction), len(prepared.features), tuple(
        Block(name, *of[name], tuple(one for one in trace.attention if one.block == name)) for name in blocks(model)
    ))


def _tokens(ids: Tensor, tokenizer: TextTokenizer) -> tuple[str, ...]:
    words = tokenizer.vocabulary()
    return tuple(words[i] for i in ids[0].tolist())


def _matrix(matrix: Tensor, spectrum: Tensor) -> Matrix:
    rows, columns = matrix.shape
    return Matrix((rows, columns), float(matrix.norm()), tuple(spectrum.tolist()), effective_rank(spectrum))


def _rows(matrix: Tensor) -> list[list[float]]:
    return [[round(value, 6) for value in row] for row in matrix.tolist()]
