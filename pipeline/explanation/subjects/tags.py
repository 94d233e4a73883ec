"""The tag of one word of a text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings.specification.suggest import did_you_mean
from embeddings.table.listing import listed
from embeddings.tokenization.interface import Span
from pipeline.errors import DataError
from pipeline.explanation.scores import ScoreRule, Term
from pipeline.explanation.subjects.base import Anchor, Place, Reading, Subject, Target, make_subject
from pipeline.explanation.subjects.texts import known_label
from pipeline.measures.tagging import OUTSIDE
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared
from pipeline.tasks.tagging import Tagging, spans_of
from pipeline.tasks.tags.branch import branch_of, log_probabilities
from pipeline.tasks.tags.features import hashed_names, word_features


@make_subject.register
def _tagging(task: Tagging, trained: TrainedRun) -> Subject:
    return TagSubject(trained)


class TagSubject(Subject):
    """The tag of one word, with the branch for features of words if the run has one.

    The score of the tag is explained, not the search for the best valid sequence of tags.
    """

    def rule(self) -> ScoreRule:
        """Return the combination of the run, with the penalty of ``O``."""
        resolved, branch = self.trained.setup.resolved, branch_of(self.trained.model)
        shift = torch.zeros(len(resolved.labels))
        if OUTSIDE in resolved.labels:
            shift[resolved.labels.index(OUTSIDE)] = -resolved.outside_penalty
        if branch is None:
            return ScoreRule("one of", shift=shift)
        return ScoreRule("one of", resolved.feature_weights, branch.bias, shift)

    def target(self, prepared: Prepared[Any], prediction: Prediction, label: str | None, word: str | None) -> Target:
        """Choose a word: the given one, or the first one that is tagged; and its tag."""
        spans, tags = self._spans(prepared, 0), prediction["tags"]
        if word is None:
            number = next((i for i, tag in enumerate(tags) if tag != OUTSIDE), 0)
        else:
            number = _number_of(word, spans)
        labels = self.trained.setup.resolved.labels
        return Target(tags[number] if label is None else known_label(label, labels), Anchor(0, spans[number].start))

    def reading(self, prepared: Prepared[Any], i: int, target: Target) -> Reading:
        """Return the window that tags the word."""
        number = self._number(prepared, i, target)
        labels = self.trained.setup.resolved.labels
        (pieces,) = prepared.tokenizers.source.encode_words([[span.word for span in self._spans(prepared, i)]])
        begins, first = pieces.first(), 0
        for feature in prepared.features:
            if feature.example != i:
                continue
            tagged: NDArray[np.int64] = feature.origin
            last = first + len(tagged)
            if first <= number < last:
                position = int(tagged[number - first])
                start = int(begins[number]) - position                          # token at position 0 of the input
                frame = int(self.trained.setup.model.pooling == "cls")
                places = tuple(None if frame and at in (0, len(feature) - 1) else Place(0, at + start)
                               for at in range(len(feature)))
                return Reading(feature, places, partial(_at, position), labels, labels.index(target.label))
            first = last
        raise DataError("the text has no word; use one with at least one word")

    def terms(self, prepared: Prepared[Any], target: Target) -> tuple[list[Term], Tensor]:
        """Return the features of the word."""
        branch = branch_of(self.trained.model)
        if branch is None:
            return super().terms(prepared, target)
        words = [span.word for span in self._spans(prepared, 0)]
        names = list(word_features(words))[self._number(prepared, 0, target)]
        buckets = torch.from_numpy(hashed_names(names, len(branch.weight)))
        return [Term("features", name) for name in names], branch.weight.cpu()[buckets]

    def linear(self, prepared: Prepared[Any], targets: Sequence[Target]) -> list[Tensor]:
        """Return the logits of the branch, except for a number that is the same for all tags of a word."""
        branch = branch_of(self.trained.model)
        if branch is None:
            return super().linear(prepared, targets)
        sentences = [[span.word for span in self._spans(prepared, i)] for i in range(len(targets))]
        scores = log_probabilities(branch, sentences)
        return [of_words[self._number(prepared, i, target)] - branch.bias.cpu() if len(of_words) else branch.bias.cpu()
                for i, (of_words, target) in enumerate(zip(scores, targets, strict=True))]

    def word(self, prepared: Prepared[Any], target: Target) -> str:
        """Return the word as written."""
        return self._spans(prepared, 0)[self._number(prepared, 0, target)].word

    def _spans(self, prepared: Prepared[Any], i: int) -> list[Span]:
        return spans_of(prepared.examples[i], prepared.tokenizers.source)

    def _number(self, prepared: Prepared[Any], i: int, target: Target) -> int:
        """Return the number of the word at the anchor, or of the word that contains it."""
        assert target.anchor is not None
        spans = self._spans(prepared, i)
        return next((n for n, span in enumerate(spans) if span.end > target.anchor.start), len(spans) - 1)


def _at(position: int, output: Tensor) -> Tensor:
    """Return the scores of one position. *Shape:* ``(batch, length, n_tags)`` to ``(batch, n_tags)``."""
    return output[:, position]


def _number_of(word: str, spans: Sequence[Span]) -> int:
    """Return the index of a word: of its first occurrence, or the given index.

    Raises:
        DataError: if the text has no such word.
    """
    words = [span.word for span in spans]
    if word in words:
        return words.index(word)
    if word.isascii() and word.isdecimal() and len(word) < 10 and int(word) < len(words):
        return int(word)
    raise DataError(f"the text has no word {word!r}.{did_you_mean(word, words)} Its words are {listed(words)}; their "
                    f"numbers are 0 to {len(words) - 1}")
