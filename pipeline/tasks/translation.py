"""Translation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END_ID, PAD_ID, START_ID
from pipeline.baselines.selection import train_selected
from pipeline.baselines.translation import WordForWord, nearest
from pipeline.config import RunConfig
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.features.batching import IGNORED, Batch, Feature, by_length, collate
from pipeline.data.readers.columns import TEXT_COLUMNS
from pipeline.data.readers.parallel import SOURCE_COLUMNS, ParallelReader, find_languages
from pipeline.measures.detokenization import detokenize, text_of
from pipeline.measures.translation import sentence_chrf, translation_measures
from pipeline.tasks.base import LOSS, Measure, Measures, Prediction, Prepared, Task, Tokenizers, Trace, task
from pipeline.tasks.inference import mean_loss
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.word_vectors import StageOne
from transformer.inspect.attention_record import record_attention
from transformer.layers.embedding import TokenEmbedding
from transformer.models.decoding import Writer, beam_search, greedy
from transformer.models.models import EncoderDecoder
from transformer.models.stack import Decoder, Encoder

SMOOTHING = 0.1
N_BASELINE = 50_000  # training examples of the baselines, which process these in seconds
MAX_POSITIONS = 1024  # source positions of a batch in decoding; each text has several hypotheses


@dataclass(frozen=True)
class Languages(Resolved):
    """The languages of a parallel corpus.

    Attributes:
        languages: source and target language; () for a table with the columns ``source`` and ``target``.
    """

    languages: tuple[str, ...] = ()


@task("translation")
class Translation(Task[TranslationExample, Languages]):
    """Translate texts with an encoder and a decoder; trained with cross-entropy of the next token.

    The input of the encoder is ``tokens </s>``, that of the decoder ``<s> tokens``; its target is ``tokens </s>``.
    Training uses label smoothing of 0.1 (Vaswani et al. 2017, section 5.4); the loss on dev does not.
    """

    reader = ParallelReader()
    measures = (
        Measure("bleu", "corpus BLEU, 0 to 100", is_share=False),
        Measure("chrf", "corpus chrF, 0 to 100", is_share=False),
        replace(LOSS, help="mean cross-entropy in nats, on dev only"),
        Measure("perplexity", "exp(loss), on dev only", is_share=False, smaller_is_better=True),
    )
    selection = ("loss",)
    keys = ("target_source", "data.languages", "generation.beam", "generation.length_penalty", "generation.max_tokens")
    baseline_names = ("nearest", "word-for-word")
    pipeline_tag = "translation"
    resolved_type = Languages
    text_columns = (*SOURCE_COLUMNS, *TEXT_COLUMNS)

    def resolve(self, config: RunConfig, splits: Splits[TranslationExample]) -> Languages:
        """Find the languages, if the suffixes of the files name them."""
        return Languages(config.model.token_types, find_languages(config.data))

    def model(self, setup: Setup[Languages], embeddings: Sequence[TokenEmbedding]) -> EncoderDecoder:
        """Build an encoder and a decoder, each with the vectors of its language."""
        source, target = embeddings
        encoder = Encoder(config=setup.model, embedding=source)
        decoder = Decoder(config=setup.model, embedding=target, cross=True)
        return EncoderDecoder(encoder=encoder, decoder=decoder, config=setup.model)

    def encode(
        self, examples: Sequence[TranslationExample], tokenizers: Tokenizers, setup: Setup[Languages], *,
        training: bool = False,
    ) -> list[Feature]:
        """Encode the source as ``tokens </s>`` and the target as ``<s> tokens </s>``.

        The inputs of encoder and decoder are truncated to ``data.max_length``.
        """
        assert tokenizers.target is not None  # exists for every reader with target texts
        limit = setup.data.max_length
        sources = tokenizers.source.encode([example.source for example in examples], max_length=limit - 1)
        targets = tokenizers.target.encode([example.target for example in examples])
        features = []
        for i, (example, source, target) in enumerate(zip(examples, sources, targets, strict=True)):
            framed = np.array([START_ID, *target, END_ID][: limit + 1], dtype=np.int64)
            features.append(Feature(np.append(source, np.int32(END_ID)), framed, i, example.where,
                                    n_targets=len(framed) - 1))
        return features

    def batch(self, features: Sequence[Feature], setup: Setup[Languages], random: np.random.Generator) -> Batch:
        """Pad both texts; ``n_tokens`` counts both. Targets: *Shape:* ``(batch, 1 + length)``, int64, ``<s>`` first."""
        return _batch(features)

    def loss(self, model: EncoderDecoder, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the next words of the translation, ``</s>`` included."""
        inputs, following = batch.targets[:, :-1], batch.targets[:, 1:]                     # (B, L)
        real = following != IGNORED
        memory = model.encoder(batch.ids).memory
        hidden = model.decoder(inputs.masked_fill(inputs == IGNORED, PAD_ID), memory=memory).hidden
        scores = model.output(hidden[real], model.decoder.embedding).float()                # (n_targets, n_rows)
        return F.cross_entropy(scores, following[real], label_smoothing=SMOOTHING if model.training else 0.0)

    def predict(
        self, model: EncoderDecoder, prepared: Prepared[TranslationExample], setup: Setup[Languages],
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict ``translation`` by beam search, and its natural ``log_probability``.

        The translation of a text without words is empty.
        """
        assert prepared.tokenizers.target is not None
        target = prepared.tokenizers.target
        device = model.decoder.embedding.weight.device
        options, features = setup.config.generation, prepared.features
        max_tokens = min(options.max_tokens, setup.data.max_length)
        predictions: list[Prediction] = [{"translation": "", "log_probability": 0.0} for _ in features]
        non_empty = [i for i, feature in enumerate(features) if len(feature) > 1]  # more than </s>
        batches = by_length([len(features[i]) for i in non_empty], MAX_POSITIONS)
        for number, batch in enumerate(batches, start=1):
            rows = [non_empty[i] for i in batch]
            writer = Writer.translating(model, collate([features[i] for i in rows]).ids.to(device))
            found = greedy(writer, max_tokens=max_tokens) if options.beam == 1 else beam_search(
                writer, beam=options.beam, length_penalty=options.length_penalty, max_tokens=max_tokens)
            for i, text in zip(rows, found, strict=True):
                predictions[i] = {"translation": text_of(target, text.ids),
                                  "log_probability": text.log_probability}
            progress("translating", number / len(batches))
        return predictions

    def measure(
        self, examples: Sequence[TranslationExample], predictions: Sequence[Prediction], setup: Setup[Languages]
    ) -> Measures:
        """Compute BLEU and chrF (0 to 100), with their sacrebleu signatures."""
        return _measures(examples, [prediction["translation"] for prediction in predictions])

    def develop(
        self, model: EncoderDecoder, prepared: Prepared[TranslationExample], setup: Setup[Languages]
    ) -> Measures:
        """Compute loss and perplexity; decoding dev would take longer than an epoch."""
        loss = mean_loss(model, prepared.features, _batch, self.loss)
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}

    def outcome(self, gold: str, prediction: Prediction) -> float:
        """Return the sentence chrF, 0 to 1."""
        return sentence_chrf(gold, prediction["translation"])

    def in_words(self, gold: str, prediction: Prediction) -> tuple[str, str]:
        """Return both translations."""
        return gold, prediction["translation"]

    def show(self, example: TranslationExample, prediction: Prediction) -> str:
        """Return the translation only, so that the lines of input and output correspond."""
        translation: str = prediction["translation"]
        return translation

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return the ``translation``."""
        return {"translation": prediction["translation"]}

    def baselines(
        self, splits: Splits[TranslationExample], setup: Setup[Languages], stage_one: StageOne
    ) -> dict[str, Measures]:
        """Translation of the nearest training text; word-for-word translation."""
        assert stage_one.target is not None
        words_of, target_words_of = (side.tokenizer.word_tokenizer().words for side in stage_one.sides)
        train = splits.train[:N_BASELINE]
        sources, targets = [example.source for example in train], [example.target for example in train]
        texts = [example.source for example in splits.test]

        def word_for_word() -> list[str]:
            model = WordForWord().fit(list(map(words_of, sources)), list(map(target_words_of, targets)))
            return [detokenize(model.translate(words_of(text))) for text in texts]

        predicted = train_selected(setup.config, {
            "nearest": lambda: nearest(sources, targets, texts), "word-for-word": word_for_word})
        return {name: _measures(splits.test, by_name) for name, by_name in predicted.items()}

    def trace(
        self, model: EncoderDecoder, ids: Tensor, token_types: Tensor | None, setup: Setup[Languages]
    ) -> Trace:
        """Run encoder and decoder once; the input of the decoder is ``<s>`` and its own greedy translation."""
        written = greedy(Writer.translating(model, ids), max_tokens=setup.config.generation.max_tokens)[0]
        target = ids.new_tensor([[START_ID, *written.ids]])
        with record_attention(model) as recorded:
            model(ids, target)
        return Trace(ids, target, recorded)


def _batch(features: Sequence[Feature]) -> Batch:
    batch = collate(features)
    return replace(batch, n_tokens=batch.n_tokens + int(batch.n_targets))


def _measures(examples: Sequence[TranslationExample], translations: Sequence[str]) -> Measures:
    return translation_measures([example.target for example in examples], translations)
