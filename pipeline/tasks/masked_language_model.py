"""Words behind masks: a task of its own, and the first step of any other (:mod:`pipeline.runs.pretraining`)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import MASK, MASK_ID, N_SPECIAL
from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import IGNORED, Batch, Feature, collate
from pipeline.data.features.special_tokens import framed
from pipeline.data.readers.lines import read_lines, read_lines_file
from pipeline.errors import DataError
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import MaskedLanguageModel
from transformer.models.stack import Encoder

N_GUESSES = 5


@task("masked-language-model")
class MaskedWords(Task[Example]):
    """Which words stood behind masks (Devlin et al. 2019), by cross-entropy at the masked places.

    Of the words that training met a share is chosen; of the chosen 80% become a mask, 10% another word of the batch
    and 10% stay. In training they are chosen anew every epoch, in measuring always the same.
    """

    measure_name = "masked_accuracy"
    counted = "masked words"

    def read(self, config: RunConfig) -> Splits[Example]:
        """Read plain text, an example a line."""
        return read_lines(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one file of plain text."""
        return read_lines_file(path, config)

    def example(self, text: str, context: str) -> Example:
        """A text; the places to fill are written ``<mask>``.

        Raises:
            DataError: if there is none.
        """
        if MASK not in text:
            raise DataError(f"{text!r}: write {MASK} where a word is to be guessed")
        return Example(text, "", "the text given")

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """The texts of examples."""
        return [example.text.replace(MASK, " ") for example in examples]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """An encoder whose table is also the output layer."""
        return MaskedLanguageModel(encoder=Encoder(config=config.model, embedding=embeddings[0]), config=config.model)

    def encode(self, examples: Sequence[Example], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """The words of each text, in pieces of at most ``data.max_length``.

        Words to be guessed at fixed places are targets already: those that the text itself leaves open, else the share
        that is measured on.
        """
        features = []
        for number, feature in enumerate(self.encode_texts([example.text for example in examples], tokenizers, config)):
            place = replace(feature, where=examples[feature.example].where)
            if not (feature.ids == MASK_ID).any():
                random = np.random.default_rng(number)  # whatever the seed: runs are measured on the same places
                place = _masked(place, tokenizers.n_rows, config.pretraining.masked_share, random, place.ids)
            features.append(place)
        return features

    def encode_texts(self, texts: Sequence[Text], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """The words of each text, in pieces; a feature's ``origin`` is the words themselves, unmasked."""
        is_framed = config.model.pooling == "cls"
        size = max(1, config.data.max_length - 2 * is_framed)
        features = []
        for number, ids in enumerate(_with_masks(texts, tokenizers)):
            for start in range(0, len(ids), size):
                piece = framed(ids[start : start + size]) if is_framed else ids[start : start + size]
                target = np.full(len(piece), IGNORED, dtype=np.int64)
                features.append(Feature(piece, target, number, "", n_targets=0, origin=(piece, tokenizers.n_rows)))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Mask words; the targets are the words behind the chosen places. *Shape:* ``(batch, length)``, int64."""
        pool, share = np.concatenate([feature.origin[0] for feature in features]), config.pretraining.masked_share
        masked = [_masked(replace(feature, ids=feature.origin[0]), feature.origin[1], share, random, pool)
                  for feature in features]
        return collate(masked)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the chosen places."""
        chosen = batch.targets != IGNORED
        return F.cross_entropy(model(batch.ids, chosen), batch.targets[chosen])

    def predict(
        self, model: nn.Module, prepared: Prepared[Example], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """For every place to be guessed the likeliest words, and of the word that stood there its log-probability."""
        words = prepared.tokenizers.source.vocabulary()

        def forward(batch: Batch) -> Tensor:
            chosen = (batch.targets != IGNORED) | (batch.ids == MASK_ID)
            scores = model(batch.ids, chosen).float()                                      # (n_chosen, n_rows)
            scores[:, :N_SPECIAL] = -torch.inf
            scores = scores.log_softmax(dim=-1)
            likeliest = scores.topk(min(N_GUESSES, scores.shape[-1] - N_SPECIAL), dim=-1)
            gold = batch.targets[chosen].clamp(min=0)[:, None]
            told = torch.cat([likeliest.indices, likeliest.values, scores.gather(1, gold)], dim=-1)
            answers = torch.zeros(*batch.ids.shape, told.shape[-1], device=told.device)
            answers[chosen] = told.float()
            return answers

        features = prepared.features
        told = outputs(model, features, collate, forward, progress=progress)
        predictions: list[Prediction] = [{"guesses": [], "log_probabilities": [], "right": []}
                                         for _ in prepared.examples]
        for feature, rows in zip(features, told, strict=True):
            prediction = predictions[feature.example]
            for place in np.flatnonzero((feature.target != IGNORED) | (feature.ids == MASK_ID)):
                ids, logs = rows[place, :-1].chunk(2)
                prediction["guesses"].append({words[int(i)]: math.exp(log) for i, log in zip(ids, logs, strict=True)})
                if feature.target[place] != IGNORED:
                    prediction["log_probabilities"].append(float(rows[place, -1]))
                    prediction["right"].append(int(ids[0]) == int(feature.target[place]))
        return predictions

    def measure(self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """Share of the words guessed, mean cross-entropy and perplexity, and the number of words guessed at."""
        right = [hit for prediction in predictions for hit in prediction["right"]]
        logs = [log for prediction in predictions for log in prediction["log_probabilities"]]
        if not right:
            raise DataError("no word to guess: none of the texts holds a word that training met")
        loss = -math.fsum(logs) / len(logs)
        return {"masked_accuracy": sum(right) / len(right), "masked_perplexity": math.exp(min(loss, 700.0)),
                "loss": loss, "n": len(right)}

    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """The share of its masked words that were guessed."""
        return sum(prediction["right"]) / max(1, len(prediction["right"]))

    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """Nothing, and the likeliest word of each place."""
        return "", " ".join(next(iter(place)) for place in prediction["guesses"])

    def score(self, measures: Measures) -> tuple[float, ...]:
        """The smaller loss."""
        return (-measures["loss"],)

    def baselines(self, splits: Splits[Example], config: RunConfig, stage_one: StageOne) -> dict[str, Measures]:
        """Always the commonest words of the training text, by their share."""
        counts = Counter(stage_one.tokenizer.count(example.text for example in splits.train))
        words = stage_one.tokenizer.vocabulary()
        total = sum(counts.values())
        commonest = counts.most_common(1)[0][0]
        tokenizers = Tokenizers(stage_one.tokenizer, len(words))
        gold = [words[i] for feature in self.encode(splits.test, tokenizers, config)
                for i in feature.target if i != IGNORED]
        loss = -math.fsum(math.log(max(counts[word], 0.5) / total) for word in gold) / max(1, len(gold))
        return {"unigram": {"masked_accuracy": sum(word == commonest for word in gold) / max(1, len(gold)),
                            "masked_perplexity": math.exp(loss), "loss": loss, "n": len(gold)}}

    def show(self, example: Example, prediction: Prediction) -> str:
        """The text, and for each place to be guessed the likeliest words with their probabilities."""
        places = [" ".join(f"{word} {p:.3f}" for word, p in place.items()) for place in prediction["guesses"]]
        return f"{' | '.join(places)}\t{example.text}"


def _with_masks(texts: Sequence[Text], tokenizers: Tokenizers) -> list[NDArray[np.int32]]:
    """The numbers of the words of texts, with masks where they say ``<mask>``."""
    encoded = tokenizers.source.encode(texts)
    mask = np.array([MASK_ID], dtype=np.int32)
    for i, text in enumerate(texts):
        if isinstance(text, str) and MASK in text:
            parts = tokenizers.source.encode(text.split(MASK))
            encoded[i] = np.concatenate([piece for part in parts for piece in (part, mask)][:-1])
    return encoded


def _masked(
    feature: Feature, n_rows: int, share: float, random: np.random.Generator, pool: NDArray[np.int32]
) -> Feature:
    """Choose a share of the words that can be said, one at least, and hide most of them.

    Args:
        feature: unmasked.
        n_rows: words from this number on cannot be said.
        share: of the words that are chosen.
        random: chooses.
        pool: words, special ones among them or not, that take the place of some. *Shape:* ``(n,)``, int32.
    """
    can = np.flatnonzero((feature.ids >= N_SPECIAL) & (feature.ids < n_rows))
    n = min(len(can), max(1, round(share * len(can))))
    chosen = random.permutation(can)[:n]
    fate = random.random(n)
    ids, target = feature.ids.copy(), np.full(len(feature.ids), IGNORED, dtype=np.int64)
    target[chosen] = feature.ids[chosen]
    ids[chosen[fate < 0.8]] = MASK_ID
    swapped = chosen[fate >= 0.9]
    ids[swapped] = random.choice(pool[pool >= N_SPECIAL], len(swapped))
    return replace(feature, ids=ids, target=target, n_targets=n)
