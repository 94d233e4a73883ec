"""Tagging of words with entities, such as the names in a text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument, setting
from embeddings.table.listing import MAX_NAMES, listed, shortened
from embeddings.tokenization.interface import Span, Text, TextTokenizer
from pipeline.baselines.selection import train_selected
from pipeline.baselines.tagging import logistic_regression, most_frequent_tag
from pipeline.config import RunConfig
from pipeline.data.config import DataConfig
from pipeline.data.examples import Splits, TaggedExample
from pipeline.data.features.batching import IGNORED, Batch, Feature
from pipeline.data.features.special_tokens import framed
from pipeline.data.features.windows import starts
from pipeline.data.readers.tag_schemes import PLAIN
from pipeline.data.readers.tagged import TaggedReader, without_brackets
from pipeline.drawing.plots import MAX_LABEL_LENGTH, MAX_LABELS, bars_svg
from pipeline.errors import ConfigError, DataError
from pipeline.measures.tagging import entity_measures, repair, word_measures
from pipeline.tasks.base import Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.class_weights import class_weights, weighted, with_label_weights
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tags.branch import choose_buckets, with_branch
from pipeline.tasks.tags.scores import (
    DEFAULT,
    DEFAULT_PENALTY,
    IOB2,
    TagLabels,
    are_plain,
    predicted_tags,
    with_penalty,
    with_tuned_scores,
)
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import TokenHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

SHAPES = LOWER, CAPITALISED, UPPER, MIXED, DIGITS, OTHER = range(6)
AS_IOB2 = {"E-": "I-", "L-": "I-", "M-": "I-", "S-": "B-", "U-": "B-"}
NO_ENTITY = "no entity"
SHOWN = ("f1", "precision", "recall", "accuracy", "n")  # of baselines, and after each epoch


@dataclass(frozen=True)
class RawText(TaggedExample):
    """A text that is not yet split into words, such as one from the command line."""

    text: str = ""


class Iob2Reader(TaggedReader):
    """Read tagged words and convert their tags to IOB2."""

    def read_file(self, path: Path, config: DataConfig) -> tuple[TaggedExample, ...]:
        """Read one file; see :meth:`TaggedReader.read_tagged`. Plain tags are kept."""
        examples, scheme = self.read_tagged(path, config)
        if scheme == PLAIN:
            return examples
        return tuple(
            replace(one, tags=tuple(repair([AS_IOB2.get(tag[:2], tag[:2]) + tag[2:] for tag in one.tags])))
            for one in examples)

    def example(self, text: str, context: str) -> TaggedExample:
        """Make an example of a text, which the tokenizer of the run splits into words."""
        return RawText((), (), "the given text", text)

    def texts(self, examples: Sequence[TaggedExample]) -> list[Text]:
        """Return the words of each sentence, or the text that is not yet split."""
        return [example.text if isinstance(example, RawText) else without_brackets(example.words)
                for example in examples]


class Window(NamedTuple):
    """A window over a sentence, and the words that are tagged in it: ``first`` to ``last``, exclusive."""

    start: int
    end: int
    first: int
    last: int


@task("tagging")
class Tagging(Task[TaggedExample, TagLabels]):
    """Predict one tag per word (IOB2, whichever scheme the files use, or plain tags); trained with cross-entropy.

    The words of a file are the tokens of the model; the tag of a word of several subwords is predicted at the first of
    them. The token type of a word is its shape, which folding case removes.
    Long sentences are divided into overlapping windows; each word is tagged, and trained on, in the window that has
    most context on both sides of it.
    """

    reader = Iob2Reader()
    measures = (
        Measure("f1", "F1 of whole entities; of words if the tags are plain, such as parts of speech"),
        Measure("precision", "share of the predicted entities that are correct"),
        Measure("recall", "share of the entities that are found"),
        Measure("accuracy", "share of correct tags"),
    )
    selection = ("f1", "accuracy")
    unit = "sentences"
    keys = ("data.labels", "data.stride", "data.word_column", "data.tag_column", "training.class_weights",
            "tagging.features", "tagging.regularization", "tagging.buckets", "tagging.decoding", "tagging.tune_outside")
    baseline_names = ("commonest-tag", "window+logreg")
    pipeline_tag = "token-classification"
    resolved_type = TagLabels
    architecture = Architecture("bert", "BertForTokenClassification", "classifier", prepare=with_penalty)

    def resolve(self, config: RunConfig, splits: Splits[TaggedExample]) -> TagLabels:
        """Find the tags (the configured ones, or those of the training data) and token types.

        Those of the training data are ``O`` and two for each type, or the plain tags.

        Raises:
            DataError: if no training sentence has an entity, all words have the same plain tag, or there are types that
                are not among the configured tags.
            ConfigError: if a configured tag is not in IOB2, and the data are.
        """
        token_types = 0 if config.model.like else len(SHAPES)
        tags = sorted({tag for example in splits.train for tag in example.tags})
        if are_plain(tags):
            labels = config.data.labels or tuple(tags)
            if len(labels) < 2:
                raise DataError(f"{config.data.path}: all words have the tag {labels[0]!r}, so there is nothing to "
                                f"learn; choose the column of the tags with {argument('tag_column')}")
        else:
            types = sorted({tag[2:] for tag in tags if tag != "O"})
            if not types:
                raise DataError(f"{config.data.path}: no training sentence has an entity (all words are tagged O), so "
                                "there is nothing to learn; choose the column of the tags with "
                                f"{argument('tag_column')}")
            labels = config.data.labels or _labels(types)
            if invalid := [label for label in labels if not IOB2.fullmatch(label)]:
                raise ConfigError(f"data.labels: {listed(invalid, form=repr)}: not a tag of IOB2; {_to_set(types)}, "
                                  "or leave it out")
        for examples in (splits.train, splits.dev, splits.test):
            require_known_tags(examples, labels)
        weights = class_weights(config, (tag for example in splits.train for tag in example.tags), labels)
        buckets = choose_buckets(config, sum(len(example.words) for example in splits.train), len(labels))
        return TagLabels(token_types=token_types, labels=labels, label_weights=weights, feature_buckets=buckets,
                         feature_weights=DEFAULT if buckets else (),
                         outside_penalty=DEFAULT_PENALTY if config.tagging.tune_outside and "O" in labels else 0.0)

    def model(self, setup: Setup[TagLabels], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with an output layer for the tag of each word, and an empty branch if the run has one."""
        shape = setup.model
        head = TokenHead(d_model=shape.d_model, n_outputs=len(setup.resolved.labels), dropout=shape.dropout)
        return with_branch(TransformerModel(encoder=Encoder(config=shape, embedding=embeddings[0]), head=head), setup)

    def encode(
        self, examples: Sequence[TaggedExample], tokenizers: Tokenizers, setup: Setup[TagLabels], *,
        training: bool = False,
    ) -> Sequence[Feature]:
        """Make one feature per window; the target is the number of each word's tag, at its first token.

        Words that another window tags, further tokens of a word, special tokens and words without a known tag have the
        target -100. ``origin`` is the position of each word that the window tags. *Shape:* ``(n_words,)``, int64.
        """
        number = {tag: i for i, tag in enumerate(setup.resolved.labels)}
        frame = int(setup.model.pooling == "cls")
        room = max(1, setup.data.max_length - 2 * frame)
        sentences = [[span.word for span in spans_of(example, tokenizers.source)] for example in examples]
        encoded = tokenizers.source.encode_words([without_brackets(words) for words in sentences])
        features = []
        for i, (example, words, pieces) in enumerate(zip(examples, sentences, encoded, strict=True)):
            ids, begins = pieces.ids, pieces.first()
            shapes = np.array([shape_of(word) for word in words], dtype=np.int32)[pieces.words]
            tags = np.array([number.get(tag, IGNORED) for tag in example.tags] or [IGNORED] * len(words),
                            dtype=np.int64)
            for start, end, first, last in windows(len(ids), room=room, overlap=setup.data.stride):
                target = np.full(end - start + 2 * frame, IGNORED, dtype=np.int64)
                inside = slice(*np.searchsorted(begins, [first, last]))
                tagged = begins[inside] - start + frame
                target[tagged] = tags[inside]
                features.append(Feature(
                    framed(ids[start:end]) if frame else ids[start:end], target, i, example.where,
                    np.pad(shapes[start:end], frame, constant_values=OTHER) if setup.model.token_types else None,
                    n_targets=int((target != IGNORED).sum()), origin=tagged,
                ))
        return weighted(features, setup.resolved.label_weights) if training else features

    def batch(self, features: Sequence[Feature], setup: Setup[TagLabels], random: np.random.Generator) -> Batch:
        """Make a training batch with the weights of the tags."""
        return with_label_weights(super().batch(features, setup, random), setup.resolved.label_weights)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the tagged words, weighted by tag."""
        logits = model(batch.ids, batch.token_types)                                           # (B, L, n_tags)
        return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), weight=batch.label_weights,
                               ignore_index=IGNORED)

    def predict(
        self, model: nn.Module, prepared: Prepared[TaggedExample], setup: Setup[TagLabels], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict ``words``, their most probable ``tags``, made valid IOB2, and the ``entities`` that they mark.

        An entity has ``type``, ``text``, ``start`` and ``end``, which count characters of the text; the words of a file
        count as a text in which they are separated by spaces. Plain tags mark no entities.
        """
        spans = [spans_of(example, prepared.tokenizers.source) for example in prepared.examples]
        tags = predicted_tags(model, prepared, _words(spans), setup, progress)
        return [_prediction(*parts) for parts in zip(prepared.examples, spans, tags, strict=True)]

    def tune(self, model: nn.Module, prepared: Prepared[TaggedExample], setup: Setup[TagLabels]) -> TagLabels:
        """Find the weights of the Transformer and of the features, and the penalty of ``O``, if the run has them."""
        words = _words([spans_of(example, prepared.tokenizers.source) for example in prepared.examples])
        return with_tuned_scores(model, prepared, words, setup, lambda gold, found: _measures(setup)(gold, found)["f1"])

    def measure(
        self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction], setup: Setup[TagLabels]
    ) -> Measures:
        """Compute F1, precision and recall of whole entities, in total and by type, and the accuracy of tags.

        If the tags are plain, each word whose tag is not ``O`` counts as an entity.
        """
        require_known_tags(examples, setup.resolved.labels)
        return _measures(setup)([example.tags for example in examples], [one["tags"] for one in predictions])

    def develop(self, model: nn.Module, prepared: Prepared[TaggedExample], setup: Setup[TagLabels]) -> Measures:
        """Compute the measures of all types together."""
        return _shown(super().develop(model, prepared, setup))

    def outcome(self, gold: Sequence[str], prediction: Prediction) -> float:
        """Return 1 if all tags of the sentence are correct, otherwise 0."""
        return float(prediction["tags"] == list(gold))

    def in_words(self, gold: Sequence[str], prediction: Prediction) -> tuple[str, str]:
        """Return the gold and the predicted entities, or the plain tags."""
        words = prediction["words"]
        if are_plain([*gold, *prediction["tags"]]):
            return " ".join(gold), " ".join(prediction["tags"])
        spans = [Span(word, i, i + 1) for i, word in enumerate(words)]
        expected, predicted = (
            [f"{' '.join(words[first:last])} ({name})" for name, first, last in entities(tags, spans)]
            for tags in (gold, prediction["tags"]))
        return ", ".join(expected) or NO_ENTITY, ", ".join(predicted) or NO_ENTITY

    def show(self, example: TaggedExample, prediction: Prediction) -> str:
        """Return the words; those of entities are followed by a slash and their tag."""
        return " ".join(word if tag == "O" else f"{word}/{tag}"
                        for word, tag in zip(prediction["words"], prediction["tags"], strict=True))

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return ``tags``, one for each word, and the text of the ``entities`` with their type."""
        return {"tags": prediction["tags"],
                "entities": [f"{entity['text']} ({entity['type']})" for entity in prediction["entities"]]}

    def baselines(
        self, splits: Splits[TaggedExample], setup: Setup[TagLabels], stage_one: StageOne
    ) -> dict[str, Measures]:
        """Most frequent tag of each word; logistic regression on the word, its shape, affixes and neighbours."""
        words, tags = [example.words for example in splits.train], [example.tags for example in splits.train]
        test, gold = [example.words for example in splits.test], [example.tags for example in splits.test]
        predicted = train_selected(setup.config, {
            "commonest-tag": lambda: most_frequent_tag(words, tags, test),
            "window+logreg": lambda: logistic_regression(words, tags, test, max_gb=setup.config.baseline_memory_gb),
        })
        return {name: _shown(_measures(setup)(gold, by_name)) for name, by_name in predicted.items()}

    def plots(
        self, examples: Sequence[TaggedExample], predictions: Sequence[Prediction], setup: Setup[TagLabels]
    ) -> Mapping[str, str]:
        """Draw the F1 of each type."""
        by_type = self.measure(examples, predictions, setup)["by_type"]
        largest = set(sorted(by_type, key=lambda name: -by_type[name]["n_entities"])[:MAX_LABELS])
        scores = {f"{shortened(name, MAX_LABEL_LENGTH)} ({of['n_entities']})": of["f1"]
                  for name, of in by_type.items() if name in largest}
        title, unit = ("Tags", "words") if are_plain(setup.resolved.labels) else ("Entity types", "entities")
        label = f"f1 on the test set (number of gold {unit})"
        if len(by_type) > MAX_LABELS:
            title += f": the {MAX_LABELS} of {len(by_type):,} with most {unit}; metrics.json has all"
        return {title: bars_svg(scores, highlighted=[], label=label)} if scores else {}


def require_known_tags(examples: Sequence[TaggedExample], labels: Sequence[str]) -> None:
    """Require that the model has all entity types of the examples.

    Raises:
        DataError: if some are unknown; the message has their counts and the place of the first.
    """
    known = set(labels)
    unknown = [example for example in examples if not known.issuperset(example.tags)]
    if unknown:
        if are_plain(labels):
            other = Counter(tag for example in unknown for tag in example.tags if tag not in known)
            named = listed([f"{shortened(tag)!r} ({count} words)" for tag, count in other.most_common()], limit=10)
            raise DataError(f"{unknown[0].where}: tags that are not among the model's: {named}; its tags are "
                            f"{listed(labels)}. To count them as missed, add them to data.labels before training")
        counts = Counter(tag[2:] for example in unknown for tag in example.tags if tag not in known)
        named = listed([f"{shortened(name)!r} ({count} words)" for name, count in counts.most_common()], limit=10)
        every = _to_set(sorted({tag[2:] for tag in labels if tag != "O"} | counts.keys()))
        raise DataError(f"{unknown[0].where}: entity types that are not among the model's types: {named}; its tags are "
                        f"{listed(labels)}. To count them as missed, {every}")


def spans_of(example: TaggedExample, tokenizer: TextTokenizer) -> list[Span]:
    """Return the words of an example and their positions in its text."""
    if isinstance(example, RawText):
        found = tokenizer.word_tokenizer().spans(example.text)
        return [Span(example.text[start:end], start, end) for _, start, end in found]
    begins = np.cumsum([0, *(len(word) + 1 for word in example.words)]).tolist()
    return [Span(word, start, start + len(word)) for word, start in zip(example.words, begins, strict=False)]


def shape_of(word: str) -> int:
    """Return the shape of a word: lower case, capitalised, upper case, mixed case, digits, or other.

    A single capital letter counts as capitalised. Words of scripts without case have the shape "other".
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


def windows(n_words: int, *, room: int, overlap: int) -> list[Window]:
    """Divide a sentence into overlapping windows.

    Args:
        n_words: length of the sentence.
        room: maximum length of a window.
        overlap: number of words that neighbouring windows share; at most half a window. Each window tags one half.
    """
    begins = starts(n_words, room=room, overlap=overlap)
    ends = [min(begin + room, n_words) for begin in begins]
    cuts = [0, *((begin + end) // 2 for begin, end in zip(begins[1:], ends, strict=False)), n_words]
    return [Window(*bounds) for bounds in zip(begins, ends, cuts, cuts[1:], strict=False)]


def entities(tags: Sequence[str], spans: Sequence[Span]) -> Iterator[tuple[str, int, int]]:
    """Yield type, start and end of each entity, given IOB2 tags and the spans of the words."""
    for first, tag in enumerate(tags):
        if tag.startswith("B-"):
            last = first
            while last + 1 < len(tags) and tags[last + 1].startswith("I-"):
                last += 1
            yield tag[2:], spans[first].start, spans[last].end


def _words(sentences: Sequence[Sequence[Span]]) -> list[list[str]]:
    return [[span.word for span in spans] for spans in sentences]


def _prediction(example: TaggedExample, spans: Sequence[Span], tags: Sequence[str]) -> Prediction:
    text = example.text if isinstance(example, RawText) else " ".join(example.words)
    marked = [{"type": name, "text": text[start:end], "start": start, "end": end}
              for name, start, end in entities(tags, spans)]
    return {"tags": list(tags), "words": [span.word for span in spans], "entities": marked}


def _labels(types: Sequence[str]) -> tuple[str, ...]:
    return ("O", *(f"{prefix}-{name}" for name in types for prefix in "BI"))


def _measures(setup: Setup[TagLabels]) -> Callable[[Sequence[Sequence[str]], Sequence[Sequence[str]]], Measures]:
    return word_measures if are_plain(setup.resolved.labels) else entity_measures


def _to_set(types: Sequence[str]) -> str:
    """Advise how to set the tags of these types; of many, only the form, so that the message is bounded."""
    if len(types) <= MAX_NAMES:
        return f"use {setting(f'data.labels={json.dumps(_labels(types))}')}"
    return (f"set data.labels in the configuration to the tags of all {len(types):,} types: "
            f"{json.dumps(_labels(types[:2]))[:-1]}, …]")


def _shown(measures: Measures) -> Measures:
    return {name: measures[name] for name in SHOWN}
