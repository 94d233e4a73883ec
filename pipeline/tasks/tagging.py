"""A tag for each word: the names in a text and what they are names of."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.tokenization.tokenizer import Span, Text, WordTokenizer
from pipeline.baselines.tagging import commonest_tag, logistic_regression
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import Splits, TaggedExample
from pipeline.data.features.batching import IGNORED, Batch, Feature, collate
from pipeline.data.features.special_tokens import framed
from pipeline.data.features.windows import starts
from pipeline.data.readers.tagged import read_tagged, read_tagged_file
from pipeline.drawing.plots import bars_svg
from pipeline.errors import ConfigError, DataError
from pipeline.measures.tagging import entity_measures, repair
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import TokenHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

SHAPES = LOWER, CAPITALISED, UPPER, MIXED, DIGITS, OTHER = range(6)
BRACKETED = re.compile(r"</?([^<>]+)>")
IOB2 = re.compile(r"O|[BI]-\S+")
AS_IOB2 = {"E-": "I-", "L-": "I-", "S-": "B-", "U-": "B-"}
NO_ENTITY = "no entity"
SHOWN = ("f1", "precision", "recall", "accuracy", "n")  # of a baseline, and after each epoch


@dataclass(frozen=True)
class RunningText(TaggedExample):
    """A text that is still to be cut into words, such as one from the command line."""

    text: str = ""


class Part(NamedTuple):
    """The words of a sentence that are read together, and those of them that are tagged then: ``first`` to ``last``."""

    start: int
    end: int
    first: int
    last: int


@task("tagging")
class Tagging(Task[TaggedExample]):
    """Entities, found by a tag a word (IOB2, whichever scheme the files are in), by cross-entropy.

    Words of a file stay the model's words. How a word is written, which folding its case forgets, is the kind of word
    that the model is told beside it. Sentences longer than it reads are read in overlapping parts, and each word is
    tagged, and learned from, in the part that shows most on both sides of it.
    """

    measure_name = "f1"
    counted = "sentences"

    def read(self, config: RunConfig) -> Splits[TaggedExample]:
        """Read a data set of tagged words."""
        splits = read_tagged(config.data, seed=config.seed)
        return replace(splits, train=_in_iob2(splits.train), dev=_in_iob2(splits.dev), test=_in_iob2(splits.test))

    def read_examples(self, path: Path, config: DataConfig) -> tuple[TaggedExample, ...]:
        """Read one file of tagged words."""
        return _in_iob2(read_tagged_file(path, config))

    def example(self, text: str, context: str) -> TaggedExample:
        """A text, to be cut by the model's tokenizer."""
        return RunningText((), (), "the text given", text)

    def resolve(self, config: RunConfig, splits: Splits[TaggedExample]) -> RunConfig:
        """Fix the tags and their order (those given, or ``O`` and two a type of the training examples), and the kinds.

        Raises:
            DataError: if no training sentence has an entity, or there are types that the model is not to know.
            ConfigError: if what was given is not all tags.
        """
        types = sorted({tag[2:] for example in splits.train for tag in example.tags if tag != "O"})
        if not types:
            raise DataError(f"{config.data.path}: no training sentence has an entity (all words are tagged O), so "
                            "there is nothing to learn")
        labels = config.data.labels or _labels(types)
        if strange := [label for label in labels if not IOB2.fullmatch(label)]:
            raise ConfigError(f"data.labels: {', '.join(map(repr, strange))}: not a tag; for these data write "
                              f"--set 'data.labels={json.dumps(_labels(types))}', or leave it out")
        for examples in (splits.train, splits.dev, splits.test):
            require_known_tags(examples, labels)
        kinds = replace(config.model, token_types=0 if config.model.like else len(SHAPES))
        return replace(config, data=replace(config.data, labels=labels), model=kinds)

    def texts(self, examples: Sequence[TaggedExample]) -> list[Text]:
        """The words of each sentence; a running text as it is."""
        return [example.text if isinstance(example, RunningText) else bare(example.words) for example in examples]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """An encoder, and an output layer for tags."""
        shape = config.model
        head = TokenHead(d_model=shape.d_model, n_outputs=len(config.data.labels), dropout=shape.dropout)
        return TransformerModel(encoder=Encoder(config=shape, embedding=embeddings[0]), head=head)

    def encode(self, examples: Sequence[TaggedExample], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """A feature a part of a sentence; the target is the number of each word's tag. ``origin``: the tagged places.

        Words that another part tags, special words and those without a known tag have the target -100.
        """
        number = {tag: i for i, tag in enumerate(config.data.labels)}
        around = int(config.model.pooling == "cls")
        room = max(1, config.data.max_length - 2 * around)
        sentences = [[place.word for place in places_of(example, tokenizers.source)] for example in examples]
        numbers = tokenizers.source.encode([bare(words) for words in sentences])
        features = []
        for i, (example, words, ids) in enumerate(zip(examples, sentences, numbers, strict=True)):
            shapes = np.array([shape_of(word) for word in words], dtype=np.int32)
            tags = np.array([number.get(tag, IGNORED) for tag in example.tags] or [IGNORED] * len(ids), dtype=np.int64)
            for start, end, first, last in parts(len(ids), room=room, overlap=config.data.stride):
                target = np.full(end - start + 2 * around, IGNORED, dtype=np.int64)
                tagged = slice(first - start + around, last - start + around)
                target[tagged] = tags[first:last]
                features.append(Feature(
                    framed(ids[start:end]) if around else ids[start:end], target, i, example.where,
                    np.pad(shapes[start:end], around, constant_values=OTHER) if config.model.token_types else None,
                    n_targets=int((target != IGNORED).sum()), origin=tagged,
                ))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Pad the ids; the targets are the tags' numbers. *Shape:* ``(batch, length)``, int64."""
        return collate(features)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the tagged words."""
        logits = model(batch.ids, batch.token_types)                                           # (B, L, n_tags)
        return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)

    def predict(
        self, model: nn.Module, prepared: Prepared[TaggedExample], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """Of each text its ``words``, their likeliest ``tags``, made IOB2, and the ``entities`` that these mark.

        An entity has its ``type``, ``text``, ``start`` and ``end``, in characters of the text as it was given; words of
        a file count as a text with blanks between them.
        """
        logits = outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                         progress=progress)
        found: list[list[str]] = [[] for _ in prepared.examples]
        for feature, rows in zip(prepared.features, logits, strict=True):
            found[feature.example] += [config.data.labels[i] for i in rows[feature.origin].argmax(dim=-1)]
        return [_prediction(example, places_of(example, prepared.tokenizers.source), repair(tags))
                for example, tags in zip(prepared.examples, found, strict=True)]

    def measure(
        self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction], config: RunConfig
    ) -> Measures:
        """F1, precision and recall of whole entities, of each type as well, and the accuracy of single tags."""
        require_known_tags(examples, config.data.labels)
        return entity_measures([example.tags for example in examples], [guess["tags"] for guess in predictions])

    def outcome(self, gold: Sequence[str], prediction: Prediction) -> float:
        """1 if every word has its right tag, so that all entities are found and none is made up."""
        return float(prediction["tags"] == list(gold))

    def in_words(self, gold: Sequence[str], prediction: Prediction) -> tuple[str, str]:
        """The entities that are there, and those that were found."""
        words = prediction["words"]
        places = [Span(word, i, i + 1) for i, word in enumerate(words)]
        right, said = ([f"{' '.join(words[first:last])} ({name})" for name, first, last in entities(tags, places)]
                       for tags in (gold, prediction["tags"]))
        return ", ".join(right) or NO_ENTITY, ", ".join(said) or NO_ENTITY

    def develop(self, model: nn.Module, prepared: Prepared[TaggedExample], config: RunConfig) -> Measures:
        """The measures of all types together."""
        return _shown(super().develop(model, prepared, config))

    def score(self, measures: Measures) -> tuple[float, ...]:
        """F1; at equal F1 the accuracy."""
        return (measures["f1"], measures["accuracy"])

    def baselines(
        self, splits: Splits[TaggedExample], config: RunConfig, stage_one: StageOne
    ) -> dict[str, Measures]:
        """Each word's commonest tag, and logistic regression on the word, its spelling and its neighbours."""
        words, tags = [example.words for example in splits.train], [example.tags for example in splits.train]
        test, gold = [example.words for example in splits.test], [example.tags for example in splits.test]
        guesses = {"commonest-tag": commonest_tag(words, tags, test),
                   "window+logreg": logistic_regression(words, tags, test)}
        return {name: _shown(entity_measures(gold, guessed)) for name, guessed in guesses.items()}

    def plots(
        self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction], config: RunConfig
    ) -> Mapping[str, str]:
        """F1 of each type."""
        by_type = self.measure(examples, predictions, config)["by_type"]
        scores = {f"{name} ({of['n_entities']})": of["f1"] for name, of in by_type.items()}
        label = "f1 on the test set (number of right entities)"
        return {"Types": bars_svg(scores, highlighted=[], label=label)} if scores else {}

    def show(self, example: TaggedExample, prediction: Prediction) -> str:
        """The words, each with a slash and its tag if it is of an entity."""
        return " ".join(word if tag == "O" else f"{word}/{tag}"
                        for word, tag in zip(prediction["words"], prediction["tags"], strict=True))


def require_known_tags(examples: Sequence[TaggedExample], labels: Sequence[str]) -> None:
    """Refuse examples with types of entities that the model does not have.

    Raises:
        DataError: naming them, how often each stands, and where first.
    """
    unknown = [example for example in examples if not set(labels).issuperset(example.tags)]
    if unknown:
        counts = Counter(tag[2:] for example in unknown for tag in example.tags if tag not in labels)
        named = ", ".join(f"{name!r} ({count} words)" for name, count in counts.most_common(10))
        every = json.dumps(_labels(sorted({tag[2:] for tag in labels if tag != "O"} | counts.keys())))
        raise DataError(f"{unknown[0].where}: types that the model was not trained on: {named}; it knows the tags "
                        f"{', '.join(labels)}. To have them counted as missed, train with --set 'data.labels={every}'")


def places_of(example: TaggedExample, tokenizer: WordTokenizer) -> list[Span]:
    """The words of an example as they are written, and where they stand in its text."""
    if isinstance(example, RunningText):
        return [Span(example.text[start:end], start, end) for _, start, end in tokenizer.spans(example.text)]
    starts = np.cumsum([0, *(len(word) + 1 for word in example.words)]).tolist()
    return [Span(word, start, start + len(word)) for word, start in zip(example.words, starts, strict=False)]


def bare(words: Sequence[str]) -> tuple[str, ...]:
    """Words such as ``<unk>`` without their brackets, which would make special words of them."""
    return tuple(match[1] if (match := BRACKETED.fullmatch(word)) else word for word in words)


def shape_of(word: str) -> int:
    """How a word is written: in small letters, with a capital first, in capitals, mixed, with digits only, otherwise.

    A lone capital counts as a capital first. Letters of scripts without case are of no shape.
    """
    if word.islower():
        return LOWER
    if word[:1].isupper() and (len(word) == 1 or word[1:].islower()):
        return CAPITALISED
    if word.isupper():
        return UPPER
    if word.lower() != word:
        return MIXED
    return DIGITS if any(map(str.isdigit, word)) else OTHER


def parts(n_words: int, *, room: int, overlap: int) -> list[Part]:
    """Cut a sentence.

    Args:
        n_words: its length.
        room: words that are read at once.
        overlap: words that two neighbours share; at most half a part. One half of them is tagged in either.
    """
    begins = starts(n_words, room=room, overlap=overlap)
    ends = [min(begin + room, n_words) for begin in begins]
    cuts = [0, *((begin + end) // 2 for begin, end in zip(begins[1:], ends, strict=False)), n_words]
    return [Part(*part) for part in zip(begins, ends, cuts, cuts[1:], strict=False)]


def entities(tags: Sequence[str], places: Sequence[Span]) -> Iterator[tuple[str, int, int]]:
    """The type of each entity and its place in the text, given IOB2 tags and the places of the words."""
    for first, tag in enumerate(tags):
        if tag.startswith("B-"):
            last = first
            while last + 1 < len(tags) and tags[last + 1].startswith("I-"):
                last += 1
            yield tag[2:], places[first].start, places[last].end


def _prediction(example: TaggedExample, places: Sequence[Span], tags: Sequence[str]) -> Prediction:
    text = example.text if isinstance(example, RunningText) else " ".join(example.words)
    marked = [{"type": name, "text": text[start:end], "start": start, "end": end}
              for name, start, end in entities(tags, places)]
    return {"tags": list(tags), "words": [place.word for place in places], "entities": marked}


def _labels(types: Sequence[str]) -> tuple[str, ...]:
    return ("O", *(f"{prefix}-{name}" for name in types for prefix in "BI"))


def _in_iob2(examples: Sequence[TaggedExample]) -> tuple[TaggedExample, ...]:
    return tuple(replace(example, tags=tuple(repair([AS_IOB2.get(tag[:2], tag[:2]) + tag[2:] for tag in example.tags])))
                 for example in examples)


def _shown(measures: Measures) -> Measures:
    return {name: measures[name] for name in SHOWN}
