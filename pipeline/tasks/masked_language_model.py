"""Masked language modelling: a task, and the pretraining of other tasks (:mod:`pipeline.runs.pretraining`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import MASK, MASK_ID, N_SPECIAL
from embeddings.tokenization.interface import Text
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED, Batch, Feature, collate
from pipeline.data.features.special_tokens import framed
from pipeline.data.readers.lines import LineReader
from pipeline.errors import DataError
from pipeline.tasks.base import LOSS, Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import MaskedLanguageModel
from transformer.models.stack import Encoder

N_CANDIDATES = 5


class MaskedLineReader(LineReader):
    """Read text in which the token ``<mask>`` marks words to predict; a folder without parts is one corpus."""

    reads_corpora = True

    def example(self, text: str, context: str) -> Example:
        """Make an example of a text with at least one ``<mask>``.

        Raises:
            DataError: if there is none.
        """
        if MASK not in text:
            raise DataError(f"{text!r}: write {MASK} in place of the word to predict")
        return super().example(text, context)

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """Return the lines without ``<mask>``."""
        return [example.text.replace(MASK, " ") for example in examples]


@task("masked-language-model")
class MaskedTokens(Task[Example, Resolved]):
    """Predict masked tokens (Devlin et al. 2019); trained with cross-entropy.

    A share of the words of the training vocabulary is selected, each with all of its tokens. Of these tokens, 80% are
    replaced by ``<mask>``, 10% by another token of the batch, and 10% are unchanged. Every training epoch draws new
    ones; evaluation always selects the same.
    """

    reader = MaskedLineReader()
    measures = (
        Measure("masked_accuracy", "share of masked tokens that are predicted", metric="accuracy"),
        Measure("masked_perplexity", "exp(loss), per token", is_share=False, smaller_is_better=True,
                metric="perplexity"),
        LOSS,
    )
    selection = ("loss",)
    unit = "masked tokens"
    baseline_names = ("unigram",)
    pipeline_tag = "fill-mask"
    resolved_type = Resolved
    architecture = Architecture("bert", "BertForMaskedLM", reads_masks=True)

    def model(self, setup: Setup[Resolved], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with an output layer over the vocabulary."""
        return MaskedLanguageModel(encoder=Encoder(config=setup.model, embedding=embeddings[0]), config=setup.model)

    def encode(
        self, examples: Sequence[Example], tokenizers: Tokenizers, setup: Setup[Resolved], *, training: bool = False
    ) -> list[Feature]:
        """Encode each text in windows of at most ``data.max_length`` tokens, with masks for evaluation.

        The positions of ``<mask>`` in a text are predicted; in a window without any, a fixed selection is masked.
        """
        features = []
        for number, feature in enumerate(self.encode_texts([example.text for example in examples], tokenizers, setup)):
            located = replace(feature, where=examples[feature.example].where)
            if not (feature.ids == MASK_ID).any():
                random = np.random.default_rng(number)  # independent of the seed: all runs have the same test positions
                located = _masked(located, setup.config.pretraining.masked_share, random, located.ids)
            features.append(located)
        return features

    def encode_texts(self, texts: Sequence[Text], tokenizers: Tokenizers, setup: Setup[Any]) -> list[Feature]:
        """Encode texts in windows, unmasked.

        ``origin`` has the ids, the size of the vocabulary, and whether each token is the beginning of a word.
        """
        is_framed = setup.model.pooling == "cls"
        size = max(1, setup.data.max_length - 2 * is_framed)
        features = []
        for number, ids in enumerate(_with_masks(texts, tokenizers)):
            for start in range(0, len(ids), size):
                window = framed(ids[start : start + size]) if is_framed else ids[start : start + size]
                target = np.full(len(window), IGNORED, dtype=np.int64)
                origin = window, tokenizers.n_rows, tokenizers.source.begins_words(window)
                features.append(Feature(window, target, number, "", n_targets=0, origin=origin))
        return features

    def batch(self, features: Sequence[Feature], setup: Setup[Any], random: np.random.Generator) -> Batch:
        """Mask tokens; targets are the ids at the selected positions. *Shape:* ``(batch, length)``, int64."""
        pool, share = np.concatenate([feature.origin[0] for feature in features]), setup.config.pretraining.masked_share
        masked = [_masked(feature, share, random, pool) for feature in features]
        return collate(masked)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the selected tokens."""
        selected = batch.targets != IGNORED
        return F.cross_entropy(model(batch.ids, selected), batch.targets[selected])

    def predict(
        self, model: MaskedLanguageModel, prepared: Prepared[Example], setup: Setup[Resolved],
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict each masked position.

        ``guesses`` has the most probable words with their probabilities; ``log_probabilities`` and ``right`` are of the
        original words, where these are known.
        """
        words = prepared.tokenizers.source.vocabulary()

        def forward(batch: Batch) -> Tensor:
            selected = (batch.targets != IGNORED) | (batch.ids == MASK_ID)
            scores = model(batch.ids, selected).float()                                    # (n_selected, n_rows)
            scores[:, :N_SPECIAL] = -torch.inf
            scores = scores.log_softmax(dim=-1)
            best = scores.topk(min(N_CANDIDATES, scores.shape[-1] - N_SPECIAL), dim=-1)
            gold = batch.targets[selected].clamp(min=0)[:, None]
            rows = torch.cat([best.indices, best.values, scores.gather(1, gold)], dim=-1)
            by_position = torch.zeros(*batch.ids.shape, rows.shape[-1], device=rows.device)
            by_position[selected] = rows.float()
            return by_position

        features = prepared.features
        found = outputs(model, features, collate, forward, progress=progress)
        predictions: list[Prediction] = [{"guesses": [], "log_probabilities": [], "right": []}
                                         for _ in prepared.examples]
        for feature, rows in zip(features, found, strict=True):
            prediction = predictions[feature.example]
            for position in np.flatnonzero((feature.target != IGNORED) | (feature.ids == MASK_ID)):
                ids, logs = rows[position, :-1].chunk(2)
                prediction["guesses"].append({words[int(i)]: math.exp(log) for i, log in zip(ids, logs, strict=True)})
                if feature.target[position] != IGNORED:
                    prediction["log_probabilities"].append(float(rows[position, -1]))
                    prediction["right"].append(int(ids[0]) == int(feature.target[position]))
        return predictions

    def measure(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Resolved]
    ) -> Measures:
        """Compute accuracy, mean cross-entropy and perplexity of the masked tokens."""
        right = [hit for prediction in predictions for hit in prediction["right"]]
        logs = [log for prediction in predictions for log in prediction["log_probabilities"]]
        if not right:
            raise DataError("no token to predict: none of the texts has a word of the training vocabulary")
        loss = -math.fsum(logs) / len(logs)
        return {"masked_accuracy": sum(right) / len(right), "masked_perplexity": math.exp(min(loss, 700.0)),
                "loss": loss, "n": len(right)}

    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """Return the share of the masked tokens that are predicted correctly."""
        return sum(prediction["right"]) / max(1, len(prediction["right"]))

    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """Return "" and the most probable word of each position."""
        return "", " ".join(next(iter(guesses)) for guesses in prediction["guesses"])

    def show(self, example: Example, prediction: Prediction) -> str:
        """Return the most probable words of each position with their probabilities, and the text."""
        positions = [" ".join(f"{word} {p:.3f}" for word, p in guesses.items()) for guesses in prediction["guesses"]]
        return f"{' | '.join(positions)}\t{example.text}"

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return ``words``, the most probable word of each ``<mask>``, and their ``probabilities``."""
        best = [next(iter(guesses.items())) for guesses in prediction["guesses"] if guesses]
        return {"words": [word for word, _ in best], "probabilities": [probability for _, probability in best]}

    def baselines(self, splits: Splits[Example], setup: Setup[Resolved], stage_one: StageOne) -> dict[str, Measures]:
        """Unigram model: the most frequent word of the training text everywhere."""
        counts = Counter(stage_one.tokenizer.count(example.text for example in splits.train))
        words = stage_one.tokenizer.vocabulary()
        total = sum(counts.values())
        most_frequent = counts.most_common(1)[0][0]
        tokenizers = Tokenizers(stage_one.tokenizer, len(words))
        gold = [words[i] for feature in self.encode(splits.test, tokenizers, setup)
                for i in feature.target if i != IGNORED]
        loss = -math.fsum(math.log(max(counts[word], 0.5) / total) for word in gold) / max(1, len(gold))
        return {"unigram": {"masked_accuracy": sum(word == most_frequent for word in gold) / max(1, len(gold)),
                            "masked_perplexity": math.exp(loss), "loss": loss, "n": len(gold)}}


def _with_masks(texts: Sequence[Text], tokenizers: Tokenizers) -> list[NDArray[np.int32]]:
    """Encode texts in which ``<mask>`` is the mask token."""
    encoded = tokenizers.source.encode(texts)
    mask = np.array([MASK_ID], dtype=np.int32)
    for i, text in enumerate(texts):
        if isinstance(text, str) and MASK in text:
            parts = tokenizers.source.encode(text.split(MASK))
            encoded[i] = np.concatenate([piece for part in parts for piece in (part, mask)][:-1])
    return encoded


def _masked(feature: Feature, share: float, random: np.random.Generator, pool: NDArray[np.int32]) -> Feature:
    """Select a share of the words of the vocabulary, at least one, and mask most of their tokens.

    Args:
        feature: a feature, whose origin has the unmasked ids; ids outside the output vocabulary are not selected.
        share: share of the words that is selected.
        random: random number generator.
        pool: ids from which replacements are drawn; special tokens are left out. *Shape:* ``(n,)``, int32.
    """
    whole, n_rows, begins = feature.origin
    candidates = np.flatnonzero((whole >= N_SPECIAL) & (whole < n_rows))
    selected = _of_some_words(candidates, np.cumsum(begins), share, random)
    n = len(selected)
    choice = random.random(n)
    ids, target = whole.copy(), np.full(len(whole), IGNORED, dtype=np.int64)
    target[selected] = whole[selected]
    ids[selected[choice < 0.8]] = MASK_ID
    swapped = selected[choice >= 0.9]
    ids[swapped] = random.choice(pool[pool >= N_SPECIAL], len(swapped))
    return replace(feature, ids=ids, target=target, n_targets=n)


def _of_some_words(
    candidates: NDArray[np.int64], words: NDArray[np.int64], share: float, random: np.random.Generator
) -> NDArray[np.int64]:
    """Select a share of the words that have candidates, at least one; return the candidates of these words.

    Args:
        candidates: positions. *Shape:* ``(n_candidates,)``.
        words: the number of the word at each position of the text. *Shape:* ``(length,)``.
        share: share of the words.
        random: random number generator.
    """
    drawn = random.permutation(np.unique(words[candidates]))
    drawn = drawn[:min(len(drawn), max(1, round(share * len(drawn))))]
    rank = np.full(len(words) + 1, len(words), dtype=np.int64)
    rank[drawn] = np.arange(len(drawn))
    ranks = rank[words[candidates]]                                                         # (n_candidates,)
    order = np.argsort(ranks, kind="stable")
    return candidates[order[:int((ranks < len(words)).sum())]]
