"""Explain a prediction: ``explain(trained, text)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.features.batching import pad
from pipeline.errors import DataError
from pipeline.explanation.changes import changed_words
from pipeline.explanation.contributions import branch_share, combined_scores, contributions
from pipeline.explanation.explanation import AttentionMaps, Completeness, Explanation, Token
from pipeline.explanation.inputs import PARTS, Texts, input_tokens, origins
from pipeline.explanation.nearest_examples import nearest_examples
from pipeline.explanation.subjects.base import Reading, make_subject
from pipeline.runs.input_checks import check_inputs
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prepared
from pipeline.tasks.classification import MAX_PROBABILITIES
from transformer.inspect.attribution import STEPS, Attribution
from transformer.kernels.engine import TORCH, use

MAX_ATTENTION = 128  # tokens of an input whose attention is returned
MAX_STEPS = 16_384
N_NEIGHBOURS = 5


@torch.inference_mode(False)  # gradients are needed, whatever the caller computes in
def explain(
    trained: TrainedRun, text: str, *, context: str = "", label: str | None = None, steps: int | None = None,
    word: str | None = None, train_data: str | Path | None = None, neighbours: int = N_NEIGHBOURS,
) -> Explanation:
    """Explain the prediction of a run for a text.

    The contributions are integrated gradients on the embeddings, from a baseline in which every word is ``<unk>`` and
    there is no n-gram. They sum to the log-odds of the label for the text minus those for the baseline.

    Args:
        trained: a run, loaded with the vectors of unseen words.
        text: the text; for question answering, the question.
        context: second text, for tasks on pairs of texts.
        label: the label to explain; None for the predicted one. For question answering, ``start`` or ``end``.
        steps: number of steps of the integral; None increases it until the sum is within 1% of the difference.
        word: for tagging: the word whose tag is explained, or its number from 0; None for the first name.
        train_data: the training data, if they are no longer at the path of the run: a data set, or one file.
        neighbours: number of nearest training examples; 0 for none.

    Raises:
        PipelineError: if predictions of the task cannot be explained.
        DataError: if the text has no word, or the model has no such label.

    Example:
        >>> found = explain(load_run("runs/bbc"), "Shares rose after the bank cut rates.")    # doctest: +SKIP
        >>> max(found.tokens, key=lambda token: token.contribution).token                     # doctest: +SKIP
        'Shares'
    """
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise DataError(f"the number of steps must be from 1 to {MAX_STEPS:,}, not {steps}")
    if neighbours < 0:
        raise DataError(f"the number of nearest training examples must be 0 or more, not {neighbours}")
    subject = make_subject(trained.task, trained)
    model, embedding, rule = trained.model, trained.embedding, subject.rule()
    model.eval()
    prepared = trained.prepare([trained.example(text, context)])
    read = Texts.of(trained, prepared.examples[0])
    if not prepared.features or not any(map(len, read.words)):
        raise DataError(f"{text!r}: the text has no word; use one with at least one word")
    with use(TORCH):
        prediction = trained.task.predict(model, prepared, trained.setup)[0]
    target = subject.target(prepared, prediction, label, word)
    reading = subject.reading(prepared, 0, target)
    terms, logits = subject.terms(prepared, target)
    found = contributions(model, embedding, reading, rule, logits, steps=STEPS if steps is None else steps)
    scores = combined_scores(model, embedding.weight.device, reading, rule, logits.sum(dim=0))
    probabilities = rule.probabilities(scores)
    characters = subject.characters(prepared, dict(zip(terms, found.terms.tolist(), strict=True))) if terms else []
    tokens = _tokens(trained, prepared, reading, read, found, characters)
    has_value = rule.kind == "value"
    nearest, note = ((), "") if not neighbours else nearest_examples(
        trained, subject, prepared, neighbours, data=train_data)
    return Explanation(
        task=trained.task.name, text=text, context=context, label=target.label,
        word=subject.word(prepared, target), unit=subject.unit,
        prediction=trained.task.show(prepared.examples[0], prediction),
        probability=None if has_value else float(probabilities[reading.column]),
        probabilities={} if has_value else _by_name(reading.names, probabilities, reading.column),
        value=float(probabilities[reading.column]) if has_value else None,
        tokens=tokens,
        completeness=Completeness(found.sum, found.difference, found.relative_error, found.score, found.baseline_score,
                                  found.n_steps, found.is_complete),
        ngrams=branch_share(terms, found) if rule.has_branch else None,
        attention=_attention(trained, prepared, reading, read),
        neighbours=nearest, neighbours_note=note,
        notes=_notes(trained, prepared, found, tokens),
        vectors={"source": trained.table.source, "transforms": list(trained.table.transforms)},
        without_word=changed_words(trained, subject, rule, target, tokens, read.texts, probabilities, reading.column),
    )


def _tokens(
    trained: TrainedRun, prepared: Prepared[Any], reading: Reading, texts: Texts, found: Attribution,
    characters: Sequence[NDArray[np.float64]],
) -> tuple[Token, ...]:
    """Return the words of the input; special tokens are equal in the baseline and contribute nothing.

    The contribution of a word is the sum of those of its tokens, and its vector that of the first.
    """
    made: dict[tuple[int, int], Token] = {}
    for place, origin, value in zip(reading.places, origins(trained, prepared, reading, texts), found.tokens.tolist(),
                                    strict=True):
        if place is None:
            continue
        word = place.part, texts.number(place)
        if word in made:
            made[word] = made[word]._replace(contribution=made[word].contribution + value)
        else:
            span = texts.span(place)
            of_ngrams = float(characters[place.part][span.start:span.end].sum()) if characters else 0.0
            made[word] = Token(texts.written(place), span.start, span.end, PARTS[place.part], value, of_ngrams,
                               origin.source, origin.in_training)
    return tuple(made.values())


def _by_name(names: Sequence[str], probabilities: Tensor, column: int) -> dict[str, float]:
    """Return the probabilities by name; if there are many, the largest ones and that of the explained column."""
    if len(names) <= MAX_PROBABILITIES:
        return dict(zip(names, probabilities.tolist(), strict=True))
    best = probabilities.argsort(descending=True, stable=True)[:MAX_PROBABILITIES].tolist()
    return {names[i]: float(probabilities[i]) for i in dict.fromkeys([*best, column])}


def _attention(trained: TrainedRun, prepared: Prepared[Any], reading: Reading, texts: Texts) -> AttentionMaps:
    """Record the attention of every head."""
    device = trained.embedding.weight.device
    types = reading.feature.token_types
    with torch.inference_mode():
        trace = trained.task.trace(trained.model, pad([reading.feature.ids]).to(device),
                                   None if types is None else pad([types]).to(device), trained.setup)
    shown = input_tokens(trained, prepared, reading, texts)[:MAX_ATTENTION]
    n = len(shown)
    return AttentionMaps(tuple(shown), tuple(
        tuple([[round(weight, 6) for weight in row] for row in head[:n, :n].tolist()] for head in layer.pattern[0])
        for layer in trace.attention))


def _notes(
    trained: TrainedRun, prepared: Prepared[Any], found: Attribution, tokens: Sequence[Token]
) -> list[str]:
    """Return the notes on an explanation."""
    notes = []
    (check,) = check_inputs(trained.task, prepared, trained.setup)
    if check.truncated:
        notes.append(f"the text is longer than data.max_length = {trained.setup.data.max_length:,} tokens; the model "
                     "reads its first part")
    if check.warning:
        notes.append(check.warning)
    if len(prepared.features) > 1:
        notes.append(f"the text is divided into {len(prepared.features)} windows; the one of the prediction is shown")
    if not found.is_complete:
        notes.append(f"the contributions sum to {found.sum:.4f}, but the difference is {found.difference:.4f} "
                     f"({found.relative_error:.1%} apart with {found.n_steps:,} steps): they are approximate")
    if len(tokens) > MAX_ATTENTION:
        notes.append(f"the attention is that of the first {MAX_ATTENTION} tokens; rows may sum to less than 1")
    return notes
