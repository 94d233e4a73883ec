"""The data of the page: words, int8 weights and metadata of a run, and a model that computes with the same weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.tokenization.word_pattern import WordRule
from pipeline.exports.browser.ngram_data import NgramData
from pipeline.exports.browser.quantized import Quantized, packed, packed_size
from pipeline.exports.vocabulary import add_unseen
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.ngrams.scores import branch_of
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.positions import alibi_slopes

NGRAM_SHARE = 1 / 3  # of the room for words and n-grams, at least, that n-grams may take
MARGIN = 0.99        # of the estimated number of words, since compression differs between words
EMBEDDING, BRANCH = "encoder.embedding.", "ngrams."


@dataclass(frozen=True)
class PageData:
    """A run, quantised.

    Attributes:
        words: words with a vector, those of training first.
        n_trained: number of these that occur in training.
        rows: vectors of the special tokens and of the words, projected to ``d_model`` if they are wider.
            *Shape:* ``(5 + n_words, at most d_model)``.
        weights: the other weights by name; matrices as int8, vectors as float32.
        ngrams: the n-gram branch; None for a run without one.
    """

    words: tuple[str, ...]
    n_trained: int
    rows: Quantized
    weights: dict[str, Quantized | NDArray[np.float32]]
    ngrams: NgramData | None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        arrays = self.rows.arrays("embedding")
        for name, weight in self.weights.items():
            arrays |= weight.arrays(name) if isinstance(weight, Quantized) else {name: weight}
        return arrays | (self.ngrams.arrays() if self.ngrams else {})

    def model(self, trained: TrainedRun) -> nn.Module:
        """Return a copy of the model of a run that computes with the weights of the page, in float32."""
        made: Any = deepcopy(trained.model)
        vectors = self.rows.matrix()
        embedding = TokenEmbedding(n_words=len(self.words), dim=vectors.shape[1], d_model=trained.setup.model.d_model)
        made.encoder.embedding = embedding
        state = made.state_dict()
        for name, weight in self.weights.items():
            values = weight.matrix() if isinstance(weight, Quantized) else weight
            target = state[_own_name(name)]
            target.copy_(torch.from_numpy(values).view(target.shape))
        with torch.no_grad():
            embedding.weight.copy_(torch.from_numpy(vectors))
        branch = branch_of(made)
        if self.ngrams and branch is not None:
            self.ngrams.into(branch)
        made.eval()
        return made  # type: ignore[no-any-return]


def page_data(trained: TrainedRun, n_words: int, room: int) -> PageData:
    """Quantise a run.

    Args:
        trained: the run, to whose embedding layer vectors of further words are appended.
        n_words: maximum number of words not seen in training.
        room: maximum number of characters, or twice that of the layers if this is more. Words not seen in training are
            left out first, then the least important n-grams, then the rarest words of training.
    """
    unseen = add_unseen(trained, n_words)
    words = (*trained.tokenizer.vocabulary()[N_SPECIAL:], *unseen)
    n_trained = len(words) - len(unseen)
    rows, weights = _vectors(trained), _weights(trained)
    of_layers = packed_size(PageData((), 0, Quantized.of(rows[:0]), weights, None).arrays())
    room = max(room - of_layers, of_layers)
    of_training = _size(words[:n_trained], rows[:N_SPECIAL + n_trained])
    ngrams, branch = None, branch_of(trained.model)
    if branch is not None:
        ngrams = NgramData.within(branch, max(room - of_training, int(NGRAM_SHARE * room)))
        room -= ngrams.size()
    n_kept = min(len(words), max(1, int(MARGIN * room / (of_training / n_trained))))
    while n_kept > 1 and (size := _size(words[:n_kept], rows[:N_SPECIAL + n_kept])) > room:
        n_kept = max(1, min(n_kept - 1, int(n_kept * MARGIN * room / size)))
    return PageData(words[:n_kept], min(n_trained, n_kept), Quantized.of(rows[:N_SPECIAL + n_kept]), weights, ngrams)


def facts(trained: TrainedRun, data: PageData, rule: WordRule) -> dict[str, Any]:
    """Return what the page needs besides arrays, JSON-serialisable."""
    setup, shape = trained.setup, trained.setup.model
    keys = ("d_model", "n_heads", "norm", "activation", "positions", "position_scale", "norm_eps", "pooling")
    branch = None if data.ngrams is None else {
        "words": setup.config.ngrams.words, "characters": list(setup.config.ngrams.characters),
        "buckets": setup.resolved.ngram_buckets, "fusion": list(setup.resolved.ngram_weights)}
    return {
        "labels": list(setup.resolved.labels), "words": list(data.words), "rule": asdict(rule),
        "max_length": setup.data.max_length, "shape": {key: getattr(shape, key) for key in keys},
        "slopes": alibi_slopes(shape.n_heads) if shape.positions == "alibi" else [], "ngrams": branch,
    }


def _vectors(trained: TrainedRun) -> NDArray[np.float32]:
    """Return the vectors of all words, projected if that makes them narrower. *Shape:* ``(n_rows, width)``."""
    embedding = trained.embedding
    with torch.no_grad():
        rows = torch.cat([embedding.weight, embedding.extension])                           # (n_rows, dim)
        narrower = rows.shape[1] > trained.setup.model.d_model
        found: NDArray[np.float32] = (embedding.projection(rows) if narrower else rows).float().cpu().numpy()
    return found


def _weights(trained: TrainedRun) -> dict[str, Quantized | NDArray[np.float32]]:
    """Return all weights but those of the vectors and of the n-gram branch by name."""
    weights: dict[str, Quantized | NDArray[np.float32]] = {}
    projected = trained.embedding.weight.shape[1] > trained.setup.model.d_model
    for name, tensor in trained.model.state_dict().items():
        is_kept = name == f"{EMBEDDING}projection.weight" and not projected
        if not is_kept and name.startswith((EMBEDDING, BRANCH)):
            continue
        values = tensor.float().cpu().numpy()
        page_name = f"model.{name.removeprefix('encoder.')}"
        weights[page_name] = values if values.ndim < 2 else Quantized.of(values.reshape(len(values), -1))
    return weights


def _own_name(name: str) -> str:
    """Return the name of a weight in the model; the inverse of the name in the page."""
    own = name.removeprefix("model.")
    return own if own.startswith("head.") else f"encoder.{own}"


def _size(words: Sequence[str], rows: NDArray[np.float32]) -> int:
    """Return the number of characters of words and their vectors."""
    return packed_size(Quantized.of(rows).arrays("embedding")) + len(as_json(list(words)))


def as_json(value: Any) -> str:
    """Return JSON that can be inside an HTML element: ASCII without ``<``, ``>`` and ``&``."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def block(trained: TrainedRun, data: PageData, rule: WordRule) -> tuple[str, str]:
    """Return the two blocks of data of the page: JSON, and compressed arrays in base64."""
    arrays = packed(data.arrays())
    return as_json(facts(trained, data, rule) | {"arrays": arrays.index}), arrays.text
