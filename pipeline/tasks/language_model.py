"""Language modelling of running text: prediction of the next token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END_ID, SPECIAL_TOKENS, UNK_ID
from embeddings.tokenization.interface import Text, TextTokenizer
from pipeline.baselines.ngram import KneserNey
from pipeline.baselines.selection import train_selected
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED, Batch, Feature, collate
from pipeline.data.readers.lines import LineReader
from pipeline.measures.language_model import bits_per, perplexity
from pipeline.tasks.base import LOSS, Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import LanguageModel
from transformer.models.stack import Decoder

UNKNOWN_SHARE = 0.5
"""Share of the tokens with count 1 in the training text whose target is ``<unk>`` instead: the probability of an
unknown word is estimated from the words that occur once."""

AT_LINE_START = 0.5  # share of the training windows that begin at the start of a line, as generated text does


class Stream(NamedTuple):
    """Lines as one running text, with an end token after each line.

    Attributes:
        inputs: input token at each position; the first is an end token. *Shape:* ``(n_tokens,)``, int32.
        targets: token to predict; ``<unk>`` for words outside the training vocabulary. *Shape:* ``(n_tokens,)``, int64.
        line: index of the line at each position. *Shape:* ``(n_tokens,)``, int64.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int64]
    line: NDArray[np.int64]


class Window(NamedTuple):
    """The position of a training feature in the text.

    Attributes:
        stream: the whole text.
        rare: True where the target occurs once in the text. *Shape:* ``(n_tokens,)``, bool.
        start: first position of the window.
    """

    stream: Stream
    rare: NDArray[np.bool_]
    start: int


@task("language-model")
class NextToken(Task[Example, Resolved]):
    """Predict the next token of a running text; trained with cross-entropy.

    The output vocabulary is closed: words that were not seen in training have their vectors as input, if the source has
    them, but ``<unk>`` as target. The ends of lines are tokens. The text is divided into windows of ``data.max_length``
    tokens: at random positions in training; for evaluation, so that each token is predicted once with at least half a
    window of context (as far as the text has it).
    """

    reader = LineReader()
    measures = (
        Measure("perplexity", "exp(loss), per token", is_share=False, smaller_is_better=True),
        LOSS,
        Measure("bits_per_word", "cross-entropy in bits per word, ends of lines not counted as words; comparable "
                                 "between words and subwords", is_share=False, smaller_is_better=True),
    )
    selection = ("loss",)
    unit = "tokens, ends of lines included"
    keys = ("generation.max_tokens", "generation.temperature", "generation.top_k", "generation.top_p")
    baseline_names = ("unigram", "3-gram")
    pipeline_tag = "text-generation"
    resolved_type = Resolved
    architecture = Architecture("gpt2", "GPT2LMHeadModel")
    generates = True

    def model(self, setup: Setup[Resolved], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build a decoder with an output layer over the vocabulary."""
        return LanguageModel(decoder=Decoder(config=setup.model, embedding=embeddings[0]), config=setup.model)

    def encode(
        self, examples: Sequence[Example], tokenizers: Tokenizers, setup: Setup[Resolved], *, training: bool = False
    ) -> list[Feature]:
        """Divide the text into windows.

        In training they are adjacent, and all tokens are targets. For evaluation they overlap by half, and the tokens
        that the previous window predicts are no targets; ``origin`` is the index of the line at each position.
        """
        stream = stream_of(self.reader.texts(examples), tokenizers)
        size = setup.data.max_length
        return (_adjacent if training else _overlapping)(stream, examples, size, tokenizers)

    def batch(self, features: Sequence[Feature], setup: Setup[Resolved], random: np.random.Generator) -> Batch:
        """Shift each window by up to half its length, or to the start of a line, so that epochs differ.

        Targets: the next tokens. *Shape:* ``(batch, length)``, int64.
        """
        return collate([_shifted(feature, random) for feature in features])

    def loss(self, model: LanguageModel, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the targets."""
        scores = model(batch.ids).float()
        return F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)

    def predict(
        self, model: LanguageModel, prepared: Prepared[Example], setup: Setup[Resolved], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict the natural ``log_probability`` of each line, its end included, and ``n``, its number of tokens.

        Lines of subwords have their number of words too, ``n_words``.
        """

        def forward(batch: Batch) -> Tensor:
            scores = model(batch.ids).float()                                                 # (B, L, n_rows)
            nll = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED,
                                  reduction="none")
            return -nll.view_as(batch.targets)                                                # (B, L)

        logs = outputs(model, prepared.features, collate, forward, progress=progress)
        totals, counts = np.zeros(len(prepared.examples)), np.zeros(len(prepared.examples), dtype=np.int64)
        for feature, row in zip(prepared.features, logs, strict=True):
            targets = feature.target != IGNORED
            np.add.at(totals, feature.origin[targets], row.double().numpy()[: len(feature)][targets])
            np.add.at(counts, feature.origin[targets], 1)
        n_words = _words_of(self.reader.texts(prepared.examples), prepared.tokenizers.source)
        return [{"log_probability": float(total), "n": int(n)} | ({} if words is None else {"n_words": words})
                for total, n, words in zip(totals, counts, n_words, strict=True)]

    def measure(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Resolved]
    ) -> Measures:
        """Compute perplexity, cross-entropy in nats and bits per word."""
        nll = -math.fsum(prediction["log_probability"] for prediction in predictions)
        n_words = sum(prediction.get("n_words", prediction["n"] - 1) for prediction in predictions)
        return _measures(nll, sum(prediction["n"] for prediction in predictions), n_words)

    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """Return the geometric mean of the probabilities of the tokens."""
        return math.exp(prediction["log_probability"] / max(1, prediction["n"]))

    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """Return "" and the perplexity of the line."""
        return "", f"perplexity {perplexity(-prediction['log_probability'], max(1, prediction['n'])):.1f}"

    def show(self, example: Example, prediction: Prediction) -> str:
        """Return the perplexity of the line and the line, separated by a tab."""
        return f"{perplexity(-prediction['log_probability'], prediction['n']):.1f}\t{example.text}"

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return the ``perplexity`` of the text and its ``log_probability``."""
        total = prediction["log_probability"]
        return {"perplexity": perplexity(-total, max(1, prediction["n"])), "log_probability": total}

    def baselines(self, splits: Splits[Example], setup: Setup[Resolved], stage_one: StageOne) -> dict[str, Measures]:
        """Unigram and trigram models with Kneser-Ney smoothing.

        They have the same vocabulary as the model, and the same share of rare words is replaced by ``<unk>``.
        """
        tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
        train, test = (stream_of(self.reader.texts(part), tokenizers) for part in (splits.train, splits.test))
        counts = np.bincount(train.targets, minlength=tokenizers.n_rows)
        rare = _is_rare(counts, stage_one.tokenizer)[train.targets]
        n_words = [one for one in _words_of(self.reader.texts(splits.test), stage_one.tokenizer) if one is not None]
        targets = _with_unknown(train.targets, rare, np.random.default_rng(setup.config.seed))
        train_ids, test_ids = _compact(targets), _compact(np.append(END_ID, test.targets))
        n_types = tokenizers.n_rows - len(SPECIAL_TOKENS) + 2
        logs = train_selected(setup.config, {
            name: partial(_log_probabilities, KneserNey(order), train_ids, test_ids, n_types)
            for name, order in (("unigram", 1), ("3-gram", 3))})
        return {name: _measures(-math.fsum(log), len(log), sum(n_words) or len(log) - len(splits.test))
                for name, log in logs.items()}


def _log_probabilities(
    model: KneserNey, train: NDArray[np.integer], test: NDArray[np.integer], n_words: int
) -> NDArray[np.float64]:
    """Fit a model to a text and return the log-probability of each token of another one after its first."""
    return model.fit(train, n_words).log_probabilities(test)[1:]


def stream_of(texts: Sequence[Text], tokenizers: Tokenizers) -> Stream:
    """Concatenate lines to one running text."""
    lines = [np.append(ids, np.int32(END_ID)) for ids in tokenizers.source.encode(texts)]
    text = np.concatenate(lines) if lines else np.zeros(0, dtype=np.int32)
    targets = np.where(text < tokenizers.n_rows, text, UNK_ID).astype(np.int64)
    line = np.repeat(np.arange(len(lines)), list(map(len, lines)))
    return Stream(np.append(np.int32(END_ID), text)[:-1], targets, line)


def _overlapping(stream: Stream, examples: Sequence[Example], size: int, _: Tokenizers) -> list[Feature]:
    features = []
    step = max(1, size // 2)
    for start in range(0, max(1, len(stream.inputs) - size + step), step):
        stop = min(start + size, len(stream.inputs))
        targets = stream.targets[start:stop].copy()
        if start:
            targets[: size - step] = IGNORED
        line = stream.line[start:stop]
        features.append(Feature(stream.inputs[start:stop], targets, int(line[0]), examples[line[0]].where,
                                n_targets=int((targets != IGNORED).sum()), origin=line))
    return features


def _adjacent(stream: Stream, examples: Sequence[Example], size: int, tokenizers: Tokenizers) -> list[Feature]:
    words = tokenizers.source.vocabulary()
    counts = tokenizers.source.counts or {}
    of_words = np.array([counts.get(word, 0) for word in words])
    rare = _is_rare(of_words, tokenizers.source)[stream.targets]
    features = []
    for start in range(0, len(stream.inputs), size):
        line = int(stream.line[start])
        inputs, targets = stream.inputs[start : start + size], stream.targets[start : start + size]
        features.append(Feature(inputs, targets, line, examples[line].where, n_targets=len(targets),
                                origin=Window(stream, rare, start)))
    return features


def _shifted(feature: Feature, random: np.random.Generator) -> Feature:
    """Shift a window at random, and replace some rare targets by ``<unk>``."""
    stream, rare, start = feature.origin
    size = len(feature)
    last = len(stream.inputs) - size
    first = min(max(0, start + int(random.integers(-(size // 2), size // 2 + 1))), last)
    if random.random() < AT_LINE_START:
        first = min(int(np.searchsorted(stream.line, stream.line[first])), last)
    window = slice(first, first + size)
    return Feature(stream.inputs[window], _with_unknown(stream.targets[window], rare[window], random), feature.example,
                   feature.where, n_targets=size)


def _with_unknown(
    targets: NDArray[np.int64], rare: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.int64]:
    """Replace a share of the rare targets by ``<unk>``. *Shape:* ``(length,)`` each."""
    return np.where(rare & (random.random(len(targets)) < UNKNOWN_SHARE), UNK_ID, targets)


def _compact(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Renumber without the special tokens that are never targets: ``<unk>`` 0, ``</s>`` 1, words from 2."""
    return np.where(targets == UNK_ID, 0, np.maximum(targets - 3, 1))


def _is_rare(counts: NDArray[np.integer], tokenizer: TextTokenizer) -> NDArray[np.bool_]:
    """Return for which tokens ``<unk>`` is trained as well: those with count 1; no subwords. *Shape:* ``(n_rows,)``."""
    rare: NDArray[np.bool_] = (counts == 1) & (tokenizer.units == "words")
    return rare


def _words_of(texts: Sequence[Text], tokenizer: TextTokenizer) -> list[int | None]:
    """Return the number of words of each line; None if each token is one."""
    splitter = tokenizer.word_tokenizer()
    return [None] * len(texts) if splitter is tokenizer else [len(splitter.words(text)) for text in texts]


def _measures(nll: float, n: int, n_words: int) -> Measures:
    """Compute the measures of a text of ``n`` tokens, ends of lines included, from their summed NLL in nats."""
    return {"perplexity": perplexity(nll, n), "bits_per_word": bits_per(nll, n_words), "loss": nll / n, "n": n}
