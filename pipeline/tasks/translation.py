"""Texts in another language."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END_ID, PAD_ID, START_ID
from embeddings.tokenization.tokenizer import Text
from pipeline.baselines.translation import WordForWord, nearest
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.features.batching import IGNORED, Batch, Feature, by_length, collate
from pipeline.data.readers.parallel import find_languages, read_parallel, read_parallel_file
from pipeline.measures.detokenization import detokenize
from pipeline.measures.translation import sentence_chrf, translation_measures
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import mean_loss
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.decoding import Writer, beam_search, greedy
from transformer.models.models import EncoderDecoder
from transformer.models.stack import Decoder, Encoder

SMOOTHING = 0.1
N_BASELINE = 50_000  # training examples that the baselines learn from: as many as they take in in seconds

N_READ = 1024  # places of the texts that are translated side by side; each is followed along several beams


@task("translation")
class Translation(Task[TranslationExample]):
    """BLEU and chrF of translations, by cross-entropy of each next word.

    The encoder reads ``words </s>``, the decoder ``<s> words`` and learns ``words </s>``. In training a tenth of the
    target's probability is spread over all words (Vaswani et al. 2017, section 5.4); dev losses are without.
    """

    measure_name = "bleu"
    measure_is_share = False

    def read(self, config: RunConfig) -> Splits[TranslationExample]:
        """Read texts and their translations."""
        return read_parallel(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[TranslationExample, ...]:
        """Read one file of texts and translations, or the pair of files that it is one of."""
        return read_parallel_file(path, config)

    def example(self, text: str, context: str) -> TranslationExample:
        """A text whose translation is not known."""
        return TranslationExample(text, "", "the text given")

    def resolve(self, config: RunConfig, splits: Splits[TranslationExample]) -> RunConfig:
        """Fix the languages, if the files tell them."""
        return replace(config, data=replace(config.data, languages=find_languages(config.data)))

    def texts(self, examples: Sequence[TranslationExample]) -> list[Text]:
        """The texts to translate."""
        return [example.source for example in examples]

    def target_texts(self, examples: Sequence[TranslationExample]) -> list[Text]:
        """Their translations."""
        return [example.target for example in examples]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """An encoder and a decoder, each from the vectors of its own language."""
        source, target = embeddings
        encoder = Encoder(config=config.model, embedding=source)
        decoder = Decoder(config=config.model, embedding=target, cross=True)
        return EncoderDecoder(encoder=encoder, decoder=decoder, config=config.model)

    def encode(
        self, examples: Sequence[TranslationExample], tokenizers: Tokenizers, config: RunConfig
    ) -> list[Feature]:
        """The words of each text and its end; the target is ``<s> words </s>``.

        Neither the encoder nor the decoder reads more than ``data.max_length`` of them.
        """
        assert tokenizers.target is not None  # the driver makes one for every task with target texts
        limit = config.data.max_length
        sources = tokenizers.source.encode([example.source for example in examples], max_length=limit - 1)
        targets = tokenizers.target.encode([example.target for example in examples])
        features = []
        for i, (example, source, target) in enumerate(zip(examples, sources, targets, strict=True)):
            written = np.array([START_ID, *target, END_ID][: limit + 1], dtype=np.int64)
            features.append(Feature(np.append(source, np.int32(END_ID)), written, i, example.where,
                                    n_targets=len(written) - 1))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Pad both texts; ``n_tokens`` is of both. Targets: ``(batch, 1 + longest)``, int64, ``<s>`` first."""
        return _batch(features)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy of each next word of the translation, its end included."""
        assert isinstance(model, EncoderDecoder)
        read, following = batch.targets[:, :-1], batch.targets[:, 1:]                       # (B, L)
        words = following != IGNORED
        memory = model.encoder(batch.ids).memory
        hidden = model.decoder(read.masked_fill(read == IGNORED, PAD_ID), memory=memory).hidden
        scores = model.output(hidden[words], model.decoder.embedding).float()               # (n_targets, n_rows)
        return F.cross_entropy(scores, following[words], label_smoothing=SMOOTHING if model.training else 0.0)

    def predict(
        self, model: nn.Module, prepared: Prepared[TranslationExample], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """The likeliest translation that ``generation.beam`` finds, and the natural logarithm of its probability.

        That of a text without words is empty.
        """
        assert prepared.tokenizers.target is not None and isinstance(model, EncoderDecoder)
        words = prepared.tokenizers.target.vocabulary()
        device = model.decoder.embedding.weight.device
        options, features = config.generation, prepared.features
        max_tokens = min(options.max_tokens, config.data.max_length)
        predictions: list[Prediction] = [{"translation": "", "log_probability": 0.0} for _ in features]
        some = [i for i, feature in enumerate(features) if len(feature) > 1]  # there is more than the end
        batches = by_length([len(features[i]) for i in some], N_READ)
        for number, batch in enumerate(batches, start=1):
            rows = [some[i] for i in batch]
            writer = Writer.translating(model, collate([features[i] for i in rows]).ids.to(device))
            found = greedy(writer, max_tokens=max_tokens) if options.beam == 1 else beam_search(
                writer, beam=options.beam, length_penalty=options.length_penalty, max_tokens=max_tokens)
            for i, text in zip(rows, found, strict=True):
                predictions[i] = {"translation": detokenize([words[word] for word in text.ids]),
                                  "log_probability": text.log_probability}
            progress("translating", number / len(batches))
        return predictions

    def measure(
        self, examples: Sequence[TranslationExample], predictions: Sequence[Prediction], config: RunConfig
    ) -> Measures:
        """BLEU and chrF (0 to 100), how they were computed, and the number of examples."""
        return _measures(examples, [prediction["translation"] for prediction in predictions])

    def outcome(self, gold: str, prediction: Prediction) -> float:
        """The translation's own chrF, as a share."""
        return sentence_chrf(gold, prediction["translation"])

    def in_words(self, gold: str, prediction: Prediction) -> tuple[str, str]:
        """Both translations."""
        return gold, prediction["translation"]

    def develop(self, model: nn.Module, prepared: Prepared[TranslationExample], config: RunConfig) -> Measures:
        """The loss and its perplexity; to translate would take longer than the epoch."""
        loss = mean_loss(model, prepared.features, _batch, self.loss)
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}

    def score(self, measures: Measures) -> tuple[float, ...]:
        """The smaller loss."""
        return (-measures["loss"],)

    def baselines(
        self, splits: Splits[TranslationExample], config: RunConfig, stage_one: StageOne
    ) -> dict[str, Measures]:
        """The translation of the nearest training text, and each word by its likeliest one."""
        assert stage_one.target is not None
        cut, cut_target = stage_one.tokenizer.words, stage_one.target.tokenizer.words
        train = splits.train[:N_BASELINE]
        sources, targets = [example.source for example in train], [example.target for example in train]
        texts = [example.source for example in splits.test]
        model = WordForWord().fit(list(map(cut, sources)), list(map(cut_target, targets)))
        guesses = {
            "nearest": nearest(sources, targets, texts),
            "word-for-word": [detokenize(model.translate(cut(text))) for text in texts],
        }
        return {name: _measures(splits.test, guessed) for name, guessed in guesses.items()}

    def show(self, example: TranslationExample, prediction: Prediction) -> str:
        """The translation alone, so that line n of the output is that of line n of the input."""
        translation: str = prediction["translation"]
        return translation


def _batch(features: Sequence[Feature]) -> Batch:
    batch = collate(features)
    return replace(batch, n_tokens=batch.n_tokens + batch.n_targets)


def _measures(examples: Sequence[TranslationExample], guesses: Sequence[str]) -> Measures:
    return translation_measures([example.target for example in examples], guesses)
