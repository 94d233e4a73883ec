"""The next word of a running text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END_ID, SPECIAL_TOKENS, UNK_ID
from embeddings.tokenization.tokenizer import Text
from pipeline.baselines.ngram import KneserNey
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED, Batch, Feature, collate
from pipeline.data.readers.lines import read_lines, read_lines_file
from pipeline.measures.language_model import bits_per, perplexity
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import LanguageModel
from transformer.models.stack import Decoder

UNKNOWN_SHARE = 0.5
"""Of the words that stand once in the training text, the share that the model is to say ``<unk>`` for: how likely it is
to meet a word for the first time is learned from those that were met but once."""

AT_A_LINE = 0.5  # share of the training windows that begin where a line does, as what is written from a prompt will



class Stream(NamedTuple):
    """Lines as one running text: their words, and an end behind each line.

    Attributes:
        read: what is read before each place: the text, an end before its first word. *Shape:* ``(n_tokens,)``, int32.
        said: what is to be said there; words that training did not meet are ``<unk>``. *Shape:* ``(n_tokens,)``, int64.
        line: the number of the line at each place. *Shape:* ``(n_tokens,)``, int64.
    """

    read: NDArray[np.int32]
    said: NDArray[np.int64]
    line: NDArray[np.int64]


class Window(NamedTuple):
    """Where a feature of training comes from.

    Attributes:
        stream: the whole text.
        rare: True where the word stands once in the text. *Shape:* ``(n_tokens,)``, bool.
        start: the window's first place.
    """

    stream: Stream
    rare: NDArray[np.bool_]
    start: int


@task("language-model")
class NextWords(Task[Example]):
    """Perplexity of a running text, its lines in their order, by cross-entropy of the next word.

    The vocabulary is closed: words that training did not meet are read by their own vectors, if the source knows them,
    but said as ``<unk>``. The ends of lines are words too. The model reads windows of ``data.max_length`` words: in
    training wherever they fall, in measuring so that each word is said once, with half a window before it at least
    (where the text has that much).
    """

    measure_name = "perplexity"
    measure_is_share = False
    smaller_is_better = True
    counted = "words and ends of lines"

    def read(self, config: RunConfig) -> Splits[Example]:
        """Read plain text, an example a line."""
        return read_lines(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one file of plain text."""
        return read_lines_file(path, config)

    def example(self, text: str, context: str) -> Example:
        """A line; several are read on, in their order."""
        return Example(text, "", "the text given")

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """The lines."""
        return [example.text for example in examples]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """A decoder, and an output layer over the words."""
        return LanguageModel(decoder=Decoder(config=config.model, embedding=embeddings[0]), config=config.model)

    def encode(self, examples: Sequence[Example], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """Windows that overlap by half; what the one before has said is not said again.

        A feature's ``origin`` is the number of the line at each of its places.
        """
        stream = stream_of(self.texts(examples), tokenizers)
        size, features = config.data.max_length, []
        step = max(1, size // 2)
        for start in range(0, max(1, len(stream.read) - size + step), step):
            stop = min(start + size, len(stream.read))
            said = stream.said[start:stop].copy()
            if start:
                said[: size - step] = IGNORED
            line = stream.line[start:stop]
            features.append(Feature(stream.read[start:stop], said, int(line[0]), examples[line[0]].where,
                                    n_targets=int((said != IGNORED).sum()), origin=line))
        return features

    def encode_training(self, examples: Sequence[Example], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """Windows side by side; all that they hold is said."""
        stream = stream_of(self.texts(examples), tokenizers)
        words = tokenizers.source.vocabulary()
        counts = tokenizers.source.counts or {}
        rare = np.array([counts.get(word) == 1 for word in words])[stream.said]
        size, features = config.data.max_length, []
        for start in range(0, len(stream.read), size):
            line = int(stream.line[start])
            read, said = stream.read[start : start + size], stream.said[start : start + size]
            features.append(Feature(read, said, line, examples[line].where, n_targets=len(said),
                                    origin=Window(stream, rare, start)))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Move each window by up to half its length, or to where a line begins: no two epochs cut the text alike.

        The targets are the next words. *Shape:* ``(batch, length)``, int64.
        """
        return collate([_moved(feature, random) for feature in features])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the words to be said."""
        scores = model(batch.ids).float()
        return F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)

    def predict(
        self, model: nn.Module, prepared: Prepared[Example], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """Of each line its log-probability (natural, the end included), and how many words and ends that is of."""

        def forward(batch: Batch) -> Tensor:
            scores = model(batch.ids).float()                                                 # (B, L, n_rows)
            lost = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED,
                                   reduction="none")
            return -lost.view_as(batch.targets)                                               # (B, L)

        logs = outputs(model, prepared.features, collate, forward, progress=progress)
        totals, counts = np.zeros(len(prepared.examples)), np.zeros(len(prepared.examples), dtype=np.int64)
        for feature, row in zip(prepared.features, logs, strict=True):
            said = feature.target != IGNORED
            np.add.at(totals, feature.origin[said], row.double().numpy()[: len(feature)][said])
            np.add.at(counts, feature.origin[said], 1)
        return [{"log_probability": float(total), "n": int(n)} for total, n in zip(totals, counts, strict=True)]

    def measure(self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """Perplexity, cross-entropy in nats, bits a word (ends of lines are no words), and what was said in number."""
        lost = -math.fsum(prediction["log_probability"] for prediction in predictions)
        return _measures(lost, sum(prediction["n"] for prediction in predictions), len(predictions))

    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """The geometric mean of the probabilities that its words got."""
        return math.exp(prediction["log_probability"] / max(1, prediction["n"]))

    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """Nothing, and the line's own perplexity."""
        return "", f"perplexity {perplexity(-prediction['log_probability'], max(1, prediction['n'])):.1f}"

    def score(self, measures: Measures) -> tuple[float, ...]:
        """The smaller loss."""
        return (-measures["loss"],)

    def baselines(self, splits: Splits[Example], config: RunConfig, stage_one: StageOne) -> dict[str, Measures]:
        """Words by their frequency, and a Kneser-Ney model of three words.

        They are given the same words as the model: of those that stand once, the same share as ``<unk>``.
        """
        tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
        learned, test = (stream_of(self.texts(part), tokenizers) for part in (splits.train, splits.test))
        rare = np.bincount(learned.said, minlength=tokenizers.n_rows)[learned.said] == 1
        said = _with_unknown(learned.said, rare, np.random.default_rng(config.seed))
        given, asked = _without_gaps(said), _without_gaps(np.append(END_ID, test.said))
        n_words = tokenizers.n_rows - len(SPECIAL_TOKENS) + 2
        models = {"unigram": KneserNey(1), "3-gram": KneserNey(3)}
        logs = {name: model.fit(given, n_words).log_probabilities(asked)[1:] for name, model in models.items()}
        return {name: _measures(-math.fsum(log), len(log), len(splits.test)) for name, log in logs.items()}

    def show(self, example: Example, prediction: Prediction) -> str:
        """The line's own perplexity and the line, with a tab between."""
        return f"{perplexity(-prediction['log_probability'], prediction['n']):.1f}\t{example.text}"


def stream_of(texts: Sequence[Text], tokenizers: Tokenizers) -> Stream:
    """Lines as one running text."""
    lines = [np.append(ids, np.int32(END_ID)) for ids in tokenizers.source.encode(texts)]
    text = np.concatenate(lines) if lines else np.zeros(0, dtype=np.int32)
    said = np.where(text < tokenizers.n_rows, text, UNK_ID).astype(np.int64)
    return Stream(np.append(np.int32(END_ID), text)[:-1], said, np.repeat(np.arange(len(lines)), list(map(len, lines))))


def _moved(feature: Feature, random: np.random.Generator) -> Feature:
    """The window some places further on or back, with some rare words unknown."""
    stream, rare, start = feature.origin
    size = len(feature)
    last = len(stream.read) - size
    first = min(max(0, start + int(random.integers(-(size // 2), size // 2 + 1))), last)
    if random.random() < AT_A_LINE:
        first = min(int(np.searchsorted(stream.line, stream.line[first])), last)
    place = slice(first, first + size)
    return Feature(stream.read[place], _with_unknown(stream.said[place], rare[place], random), feature.example,
                   feature.where, n_targets=size)


def _with_unknown(
    said: NDArray[np.int64], rare: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.int64]:
    """What is to be said, ``<unk>`` for a share of the rare words. *Shape:* ``(length,)`` each."""
    return np.where(rare & (random.random(len(said)) < UNKNOWN_SHARE), UNK_ID, said)


def _without_gaps(said: NDArray[np.int64]) -> NDArray[np.int64]:
    """``<unk>`` as 0, the end as 1, words from 2 on: without the special words that are never said."""
    return np.where(said == UNK_ID, 0, np.maximum(said - 3, 1))


def _measures(lost: float, n: int, n_lines: int) -> Measures:
    """Measures of a text of ``n`` words and ends of lines, from the sum of their negative log-probabilities."""
    return {"perplexity": perplexity(lost, n), "bits_per_word": bits_per(lost, n - n_lines), "loss": lost / n, "n": n}
