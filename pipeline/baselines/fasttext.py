"""A fastText classifier as a baseline: predictions of a model that Facebook's fastText trained.

Algorithm: Joulin et al. 2016 (arXiv 1607.01759), as in ``FastText::predict``, ``Dictionary::getLine`` and ``loss.cc``
of https://github.com/facebookresearch/fastText. The text is the mean of the vectors of its words, their character
n-grams and its word n-grams.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.formats.fasttext_supervised import LABEL_PREFIX, SupervisedModel, read_supervised
from embeddings.table.listing import listed
from embeddings.table.ngram_hashes import OFFSET_BASIS, PRIME, ngram_buckets
from embeddings.table.paths import from_written
from pipeline.errors import ConfigError

PREFIX = "fasttext:"  # of the baseline's name, before the path of the model
END = b"</s>"
WORD_HASH_FACTOR = 116049371
SEPARATORS = re.compile(rb"[ \n\r\t\v\f\0]+")
SIGMOIDS = 512  # entries of fastText's table
MAX_SIGMOID = 8
Floats = NDArray[np.float32]


class FastTextClassifier:
    """Predicts labels as fastText does, with the ``</s>`` that ends a line.

    Args:
        path: a ``.bin`` file of ``fasttext supervised``.

    Raises:
        ConfigError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.model: SupervisedModel = read_supervised(path)
        except EmbeddingError as error:
            raise ConfigError(f"baselines: {error}") from error
        self._path = path
        self._tree = _huffman_tree(self.model.counts) if self.model.loss == "hierarchical softmax" else []

    def predict(self, texts: Sequence[str], gold: Collection[str] = ()) -> list[str]:
        """Return the most probable label of each text; the most frequent one for a text without known features.

        Args:
            texts: any texts; line breaks count as spaces.
            gold: labels of the data, of which the model must have at least one.

        Raises:
            ConfigError: if it has none of them.
        """
        if gold and not set(gold) & set(self.model.labels):
            raise ConfigError(f"baselines: {self._path} predicts {listed(self.model.labels)}, but the labels of the "
                              f"data are {listed(sorted(gold))}; train it on these data")
        return [self._label(text) for text in texts]

    def probabilities(self, text: str) -> Floats:
        """Return fastText's score of each label, which need not sum to 1. *Shape:* ``(n_labels,)``, or ``(0,)``."""
        features = self._features(text)
        if not features:
            return np.zeros(0, np.float32)
        hidden = self.model.inputs[features].sum(axis=0, dtype=np.float32) * np.float32(1 / len(features))   # (dim,)
        if self._tree:
            return self._hierarchical(hidden)
        scores: Floats = self.model.outputs @ hidden                                                    # (n_labels,)
        if self.model.loss == "softmax":
            exponentials = np.exp(scores - scores.max())
            softmax: Floats = exponentials / exponentials.sum()
            return softmax
        return _tabulated_sigmoid(scores)

    def _label(self, text: str) -> str:
        scores = self.probabilities(text)
        if not len(scores):
            return self.model.labels[0]
        last = len(scores) - 1 - int(scores[::-1].argmax())  # of equal scores fastText keeps the last
        return self.model.labels[last]

    def _features(self, text: str) -> list[int]:
        """Return the rows of the words, character n-grams and word n-grams of a text."""
        header = self.model.header
        tokens = [*filter(None, SEPARATORS.split(text.encode("utf-8", errors="replace"))), END]
        features: list[int] = []
        hashes: list[int] = []
        for token in tokens:
            row = self.model.rows.get(token)
            if row is None and token.startswith(LABEL_PREFIX.encode()):
                continue
            if row is not None:
                features.append(row)
            if token != END and header.max_n > 0 and header.n_buckets:
                word = token.decode("utf-8", errors="replace")
                buckets = ngram_buckets([word], header.min_n, header.max_n, header.n_buckets)[0]
                features += [header.n_words + bucket for bucket in buckets]
            hashes.append(_hash(token))
            if token == END:
                break
        return features + self._word_ngrams(hashes)

    def _word_ngrams(self, hashes: Sequence[int]) -> list[int]:
        header = self.model.header
        rows: list[int] = []
        if header.word_ngrams < 2 or not header.n_buckets:
            return rows
        for place, start in enumerate(hashes):
            combined = start
            for following in hashes[place + 1 : place + header.word_ngrams]:
                combined = (combined * WORD_HASH_FACTOR + following) % 2**64
                rows.append(header.n_words + combined % header.n_buckets)
        return rows

    def _hierarchical(self, hidden: Floats) -> Floats:
        """Multiply the probabilities on the path to each label in the Huffman tree."""
        n_labels = len(self.model.labels)
        scores = np.zeros(n_labels, np.float64)
        pending = [(2 * n_labels - 2, 0.0)]
        while pending:
            node, score = pending.pop()
            if node < n_labels:
                scores[node] = score
                continue
            right = 1 / (1 + np.exp(-float(self.model.outputs[node - n_labels] @ hidden)))
            left_child, right_child = self._tree[node - n_labels]
            pending += [(left_child, score + np.log(1 - right + 1e-5)), (right_child, score + np.log(right + 1e-5))]
        return np.exp(scores).astype(np.float32)


def fasttext_baselines(
    names: Iterable[str], texts: Sequence[str], labels: Collection[str]
) -> dict[str, Callable[[], list[str]]]:
    """Return the function that predicts the labels of the texts, for each name of a fastText classifier."""
    models = [name for name in names if name.startswith(PREFIX)]
    return {name: partial(_predicted, Path(from_written(name.removeprefix(PREFIX))), texts, labels) for name in models}


def _predicted(path: Path, texts: Sequence[str], labels: Collection[str]) -> list[str]:
    return FastTextClassifier(path).predict(texts, labels)


def check_model(name: str) -> bool:
    """Return whether a baseline's name is that of a fastText classifier, after reading the model.

    Raises:
        ConfigError: if the model cannot be read.
    """
    if not name.startswith(PREFIX):
        return False
    FastTextClassifier(Path(from_written(name.removeprefix(PREFIX))))
    return True


def _hash(token: bytes) -> int:
    """Hash a word (FNV-1a over signed bytes), sign-extended from 32 to 64 bits as fastText's word n-grams do."""
    value = int(OFFSET_BASIS)
    for byte in token:
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * int(PRIME)) & 0xFFFFFFFF
    return value if value < 2**31 else value + 2**64 - 2**32


def _tabulated_sigmoid(scores: Floats) -> Floats:
    places = np.clip(((scores + MAX_SIGMOID) * SIGMOIDS / MAX_SIGMOID / 2).astype(np.int64), 0, SIGMOIDS)
    table = 1 / (1 + np.exp(-(np.arange(SIGMOIDS + 1) * 2 * MAX_SIGMOID / SIGMOIDS - MAX_SIGMOID)))
    inside = table[places].astype(np.float32)
    return np.where(scores < -MAX_SIGMOID, 0, np.where(scores > MAX_SIGMOID, 1, inside)).astype(np.float32)


def _huffman_tree(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Return the left and the right child of each inner node; the leaves are the labels, by descending count."""
    n_labels = len(counts)
    weights = [*counts, *[10**15] * (n_labels - 1)]
    children: list[tuple[int, int]] = []
    leaf, node = n_labels - 1, n_labels
    for inner in range(n_labels, 2 * n_labels - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        children.append((pair[0], pair[1]))
        weights[inner] = weights[pair[0]] + weights[pair[1]]
    return children
