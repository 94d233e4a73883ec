"""A finished run opened to view: its parameters and how far they moved, its heads, and what these do with a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from embeddings.special_tokens import START_ID
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.config import RunConfig
from pipeline.data.features.batching import pad
from pipeline.errors import DataError, PipelineError, RunFolderError
from pipeline.runs.folder import RunFolder
from pipeline.runs.trained import TrainedRun, load_run
from transformer.checkpoint import read_weights
from transformer.inspect.attention_record import AttentionRecord, blocks, record_attention
from transformer.inspect.census import Entry, Movement, census, movement
from transformer.layers.attention import MultiHeadAttention
from transformer.layers.embedding import TokenEmbedding
from transformer.models.decoding import Writer, greedy
from transformer.models.head_weights import Attentions, effective_rank, product_spectrum
from transformer.models.models import EncoderDecoder
from transformer.models.stack import Stack

N_MOVED = 10
SIDES = ("words", "target words")


@dataclass(frozen=True, eq=False)
class Inspection:
    """A finished run, and what it began with.

    Attributes:
        trained: the run.
        start: every parameter before the first step, by name.
    """

    trained: TrainedRun
    start: Mapping[str, Tensor]

    @cached_property
    def census(self) -> list[Entry]:
        """Every parameter by kind."""
        return census(self.trained.model, self.start)

    def moved(self, n: int = N_MOVED) -> dict[str, Movement]:
        """How far the words of each table moved, and the ``n`` that moved most."""
        sides = zip(SIDES, tables(self.trained.model).items(), self.trained.stage_one.sides, strict=False)
        return {side: movement(self.start[name], layer.weight.detach(), stage_one.tokenizer.vocabulary(), n)
                for side, (name, layer), stage_one in sides}

    def to_json(self, n_words: int = N_MOVED) -> dict[str, Any]:
        """The census and the words that moved most, of what JSON has."""
        return {
            "parameters": [{**asdict(entry), "moved_share": entry.moved_share} for entry in self.census],
            "n_parameters": sum(entry.count for entry in self.census),
            "words_moved": {side: {**moved._asdict(), "most": [word._asdict() for word in moved.most]}
                            for side, moved in self.moved(n_words).items()},
        }


class Matrix(NamedTuple):
    """A head's matrix, or a product of two.

    Attributes:
        shape: rows and columns.
        norm: Frobenius norm.
        spectrum: singular values, the largest first; of a product as many as the head is wide.
        effective_rank: how many directions count (Roy & Vetterli 2007).
    """

    shape: tuple[int, int]
    norm: float
    spectrum: tuple[float, ...]
    effective_rank: float


class Block(NamedTuple):
    """Attention of one kind to one text.

    Attributes:
        name: ``encoder``, ``decoder`` or ``cross``.
        words: that look.
        seen: that are looked at.
        layers: from the lowest; the batch is one text.
    """

    name: str
    words: tuple[str, ...]
    seen: tuple[str, ...]
    layers: tuple[AttentionRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """The same, of what JSON has; of each head its attention (a row a word) and its vectors (a row a word)."""
        return {"name": self.name, "words": self.words, "seen": self.seen, "layers": [
            {"heads": [
                {"attention": _rows(layer.pattern[0, head]), "query": _rows(layer.query[0, head]),
                 "key": _rows(layer.key[0, head]), "value": _rows(layer.value[0, head])}
                for head in range(layer.pattern.shape[1])]}
            for layer in self.layers]}


class OpenedText(NamedTuple):
    """A text as the model reads it.

    Attributes:
        text: what was asked for.
        context: the text beside it.
        said: what the model predicts, as a line for people.
        n_pieces: windows that the text is read in; the first of them is here.
        blocks: what the heads do with it.
    """

    text: str
    context: str
    said: str
    n_pieces: int
    blocks: tuple[Block, ...]

    def to_json(self) -> dict[str, Any]:
        """The same, of what JSON has."""
        return {**self._asdict(), "blocks": [block.to_json() for block in self.blocks]}


def open_run(path: Path, *, unseen: bool = False) -> Inspection:
    """Load a finished run to look at.

    Args:
        path: its folder.
        unseen: take along the vectors of words that training did not meet, which a text may hold.

    Raises:
        RunFolderError: if there is no finished run, or it does not say what training started from.
        ConfigError, EmbeddingError, TransformerError: if one of its files is broken.
    """
    trained = load_run(path, unseen=unseen)
    folder = RunFolder(path)
    if not folder.start.is_file():
        raise RunFolderError(f"{folder.start}: missing, so nothing says what training started from; make the run again "
                             f"with: vecformer run {folder.config} --out {path} --overwrite")
    start = read_weights(folder.start)
    config = trained.config
    for (name, _), side in zip(tables(trained.model).items(), trained.stage_one.sides, strict=True):
        layer = TokenEmbedding.from_table(side.start, d_model=config.model.d_model, config=config.embedding)
        start[name] = layer.weight.detach()
    return Inspection(trained, start)


def tables(model: nn.Module) -> dict[str, TokenEmbedding]:
    """The embedding layers, that of the text that is read first, by the name of their weights."""
    return {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, TokenEmbedding)}


def head_matrices(model: nn.Module, head: str) -> dict[str, Matrix]:
    """A head's four matrices, and the two circuits they make (Elhage et al. 2021).

    Args:
        model: has heads.
        head: ``L.H``, numbered from 0; ``encoder.L.H``, ``decoder.L.H`` or ``cross.L.H`` where there are several kinds.

    Raises:
        PipelineError: if there is no such head; the message says which there are.
    """
    there = {name: heads.attentions() for name, heads in blocks(model).items()}
    match = re.fullmatch(r"(?:([a-z]+)\.)?([0-9]+)\.([0-9]+)", head)
    kind = (match[1] or (next(iter(there)) if len(there) == 1 else "")) if match else ""
    layers = there.get(kind, [])
    if match is None or int(match[2]) >= len(layers) or int(match[3]) >= layers[0].n_heads:
        ranges = (f"{name + '.' if len(there) > 1 else ''}L.H with L from 0 to {len(layers) - 1} and H from 0 to "
                  f"{layers[0].n_heads - 1}" for name, layers in there.items())
        raise PipelineError(f"--head {head}: no such head; the model has {', '.join(ranges)}")
    return matrices_of(layers[int(match[2])], int(match[3]))


def matrices_of(attention: MultiHeadAttention, head: int) -> dict[str, Matrix]:
    """``W_Q``, ``W_K``, ``W_V``, ``W_O``, and the circuits ``QK`` and ``OV``, of one head of a layer."""
    weights = Attentions([attention])
    q, k, v, o = (stacked[0, head].detach() for stacked in (weights.W_Q, weights.W_K, weights.W_V, weights.W_O))
    single = {name: _matrix(matrix, torch.linalg.svdvals(matrix))
              for name, matrix in (("W_Q", q), ("W_K", k), ("W_V", v), ("W_O", o))}
    return single | {"QK": _matrix(q @ k.mT, product_spectrum(q, k.mT)), "OV": _matrix(v @ o, product_spectrum(v, o))}


def open_text(trained: TrainedRun, text: str, context: str = "") -> OpenedText:
    """Let the model read a text and write down what every head does.

    A translation's decoder reads the likeliest words that the model itself wrote.

    Args:
        trained: loaded with the words that training did not meet.
        text: to read.
        context: the text beside it, for tasks that read two.

    Raises:
        DataError: if there is no word in it.
    """
    prepared = trained.prepare([trained.task.example(text, context)])
    if not prepared.features or not len(prepared.features[0]):
        raise DataError(f"{text!r}: no word in this text")
    said = trained.task.predict(trained.model, prepared, trained.config)[0]
    first, model, tokenizers = prepared.features[0], trained.model, prepared.tokenizers
    ids = pad([first.ids]).to(trained.embedding.weight.device)
    token_types = None if first.token_types is None else pad([first.token_types]).to(ids.device)
    with torch.inference_mode():
        own = _own_translation(model, ids, trained.config) if isinstance(model, EncoderDecoder) else ids
        with record_attention(model) as seen:
            if isinstance(model, EncoderDecoder):
                model(ids, own)
            else:
                stack = next(module for module in model.modules() if isinstance(module, Stack))
                stack(ids, token_types)
    source = _named(ids, tokenizers.source)
    target = _named(own, tokenizers.target or tokenizers.source)
    of = {"encoder": (source, source), "decoder": (target, target), "cross": (target, source)}
    return OpenedText(text, context, trained.task.show(prepared.examples[0], said), len(prepared.features), tuple(
        Block(name, *of[name], tuple(one for one in seen if one.block == name)) for name in blocks(model)
    ))


def _own_translation(model: EncoderDecoder, ids: Tensor, config: RunConfig) -> Tensor:
    """The start word and the likeliest words behind it. *Shape:* ``(1, 1 + n_words)``, int64."""
    written = greedy(Writer.translating(model, ids), max_tokens=config.generation.max_tokens)[0]
    return ids.new_tensor([[START_ID, *written.ids]])


def _named(ids: Tensor, tokenizer: WordTokenizer) -> tuple[str, ...]:
    words = tokenizer.vocabulary()
    return tuple(words[i] for i in ids[0].tolist())


def _matrix(matrix: Tensor, spectrum: Tensor) -> Matrix:
    rows, columns = matrix.shape
    return Matrix((rows, columns), float(matrix.norm()), tuple(spectrum.tolist()), effective_rank(spectrum))


def _rows(matrix: Tensor) -> list[list[float]]:
    return [[round(value, 6) for value in row] for row in matrix.tolist()]
