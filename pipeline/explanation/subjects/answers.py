"""The first or the last word of an answer in a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embeddings.special_tokens import END, START
from pipeline.data.features.windows import Window
from pipeline.errors import DataError
from pipeline.explanation.scores import ScoreRule
from pipeline.explanation.subjects.base import Anchor, Place, Reading, Subject, Target, make_subject
from pipeline.explanation.subjects.texts import known_label
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared
from pipeline.tasks.question_answering import QuestionAnswering

SIDES = ("start", "end")


@make_subject.register
def _question_answering(task: QuestionAnswering, trained: TrainedRun) -> Subject:
    return AnswerSubject(trained)


class AnswerSubject(Subject):
    """The position of the first or of the last word of the answer, against all other positions of the window."""

    def rule(self) -> ScoreRule:
        """Return the log-odds of a position."""
        return ScoreRule("one of")

    def target(self, prepared: Prepared[Any], prediction: Prediction, label: str | None, word: str | None) -> Target:
        """Choose the first word of the predicted answer, or the last one for ``end``; ``<s>`` for no answer."""
        self.refuse_word(word)
        side = known_label(label or SIDES[0], SIDES)
        if prediction["start"] is None:
            return Target(side)
        spans = prepared.features[0].origin.words.spans
        inside = [span for span in spans if prediction["start"] <= span.start < prediction["end"]]
        return Target(side, Anchor(1, inside[0 if side == SIDES[0] else -1].start))

    def reading(self, prepared: Prepared[Any], i: int, target: Target) -> Reading:
        """Return the first window with the word that has the most context on both sides of it."""
        features = [feature for feature in prepared.features if feature.example == i]
        if not features:
            raise DataError("the context has no word; use one with at least one word")
        side = SIDES.index(target.label)
        best, column = features[0], 0
        if target.anchor is not None:
            spans, bounds = features[0].origin.words
            word = next((n for n, span in enumerate(spans) if span.end > target.anchor.start), len(spans) - 1)
            number = int(bounds[word] if side == 0 else bounds[word + 1] - 1)

            def margin(window: Window) -> int:
                return min(number - window.start, window.start + window.n_words - 1 - number)

            best = max(features, key=lambda feature: margin(feature.origin))
            column = number - best.origin.start + best.origin.offset
        window: Window = best.origin
        places: list[Place | None] = [None] * len(best)
        places[1:window.offset - 1] = [Place(0, n) for n in range(window.offset - 2)]
        places[window.offset:window.offset + window.n_words] = [
            Place(1, window.start + n) for n in range(window.n_words)]
        names = _names(prepared.examples[i], prepared, places, window)
        return Reading(best, tuple(places), lambda output: output[:, :, side], names, column)

    def word(self, prepared: Prepared[Any], target: Target) -> str:
        """Return the word of the answer as written; ``<s>`` for no answer."""
        if target.anchor is None:
            return START
        start, text = target.anchor.start, prepared.examples[0].context
        span = next(span for span in prepared.features[0].origin.words.spans if span.end > start)
        return str(text[span.start:span.end])


def _names(
    example: Any, prepared: Prepared[Any], places: Sequence[Place | None], window: Window
) -> list[str]:
    """Name each position by its word and the position of the word in its text."""
    spans = (prepared.tokenizers.source.spans(example.question), window.spans)
    names: list[str] = []
    for place in places:
        if place is None:
            names.append(START if not names else f"{END} ({len(names)})")
        else:
            span = spans[place.part][place.token]
            text, where = ((example.question, "question, "), (example.context, ""))[place.part]
            names.append(f"{text[span.start:span.end]} ({where}{span.start})")
    return names
