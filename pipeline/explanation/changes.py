"""Predictions after dropping a word of the text, or replacing it by its nearest neighbour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from embeddings.analysis.neighbors import nearest_rows
from embeddings.table.oov_policy import is_known, parse_policy
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.subwords import SubwordTokenizer
from pipeline.explanation.contributions import combined_scores
from pipeline.explanation.explanation import ChangedWord, Token
from pipeline.explanation.inputs import PARTS
from pipeline.explanation.scores import ScoreRule
from pipeline.explanation.subjects.base import Anchor, Subject, Target
from pipeline.runs.trained import TrainedRun

MAX_WORDS = 64   # words of a text that are changed: those with the strongest contributions
N_CANDIDATES = 8  # neighbours of a word, of which the first usable one is taken


class Edit(NamedTuple):
    """A change of one word.

    Attributes:
        token: the word.
        word: the word in its place; "" for none.
    """

    token: Token
    word: str

    def text(self, texts: Sequence[str]) -> list[str]:
        """Return the texts after the change."""
        part = PARTS.index(self.token.part)
        changed = texts[part][:self.token.start] + self.word + texts[part][self.token.end:]
        return [*texts[:part], changed, *texts[part + 1:]]

    def anchor(self, anchor: Anchor | None) -> Anchor | None:
        """Return the position of an anchor after the change."""
        if anchor is None or anchor.part != PARTS.index(self.token.part) or anchor.start <= self.token.start:
            return anchor
        return anchor._replace(start=anchor.start + len(self.word) - (self.token.end - self.token.start))


def changed_words(
    trained: TrainedRun, subject: Subject, rule: ScoreRule, target: Target, tokens: Sequence[Token],
    texts: Sequence[str], before: Tensor, column: int,
) -> tuple[ChangedWord, ...]:
    """Compute the predictions without each word, and with its nearest neighbour in its place.

    Args:
        trained: the run.
        subject: what is explained for its task.
        rule: how scores are computed.
        target: what is explained.
        tokens: the words of the input.
        texts: the text, and the context if there is one.
        before: probability of each column for the unchanged text. *Shape:* ``(n_columns,)``, float64.
        column: the column that is explained.

    Returns:
        The words in order; of a long text those with the strongest contributions.
    """
    strongest = sorted(range(len(tokens)), key=lambda i: -abs(tokens[i].contribution))[:MAX_WORDS]
    chosen = [tokens[i] for i in sorted(strongest)]
    others = nearest_words(trained, chosen)
    drops = [Edit(token, "") for token in chosen if not _is_anchor(token, target.anchor)]
    swaps = [Edit(token, other) for token, other in zip(chosen, others, strict=True) if other]
    after = dict(zip([*drops, *swaps], _probabilities(trained, subject, rule, target, [*drops, *swaps], texts),
                     strict=True))
    was, made = float(before[column]), []
    for token, other in zip(chosen, others, strict=True):
        dropped, replaced = after.get(Edit(token, "")), after.get(Edit(token, other or "\0"))
        if dropped is not None:
            made.append(ChangedWord(
                token.token, token.start, token.part, dropped.of_target - was, dropped.best,
                other if replaced else None, replaced.of_target - was if replaced else None))
    return tuple(made)


class _After(NamedTuple):
    of_target: float
    best: str


def _probabilities(
    trained: TrainedRun, subject: Subject, rule: ScoreRule, target: Target, edits: Sequence[Edit], texts: Sequence[str]
) -> list[_After | None]:
    """Return the probability of the target after each edit, and the name of the best column; None if it has no word."""
    if not edits:
        return []
    prepared = trained.prepare([trained.task.reader.example(*(*edit.text(texts), "")[:2]) for edit in edits])
    targets = [Target(target.label, edit.anchor(target.anchor)) for edit in edits]
    linear = subject.linear(prepared, targets)
    device = trained.embedding.weight.device
    found: list[_After | None] = []
    for i, (one, of_branch) in enumerate(zip(targets, linear, strict=True)):
        reading = subject.reading(prepared, i, one)
        if not len(reading.feature):
            found.append(None)
            continue
        probabilities = rule.probabilities(combined_scores(trained.model, device, reading, rule, of_branch))
        has_best = rule.kind == "one of" and one.label in reading.names
        best = reading.names[int(probabilities.argmax())] if has_best else ""
        found.append(_After(float(probabilities[reading.column]), best))
    return found


def nearest_words(trained: TrainedRun, tokens: Sequence[Token]) -> list[str | None]:
    """Return the nearest neighbour of each word in the table of vectors; None for a word without a vector of its own.

    Neighbours that the tokenizer cannot produce, such as the same word in upper case, are skipped.
    """
    table, tokenizer = trained.table, trained.tokenizer
    words = [_token_of(token.token, tokenizer) for token in tokens]
    found = table.lookup(dict.fromkeys(words), parse_policy(trained.config.unknown))
    rows = [row for row, why in enumerate(found.provenance) if is_known(why)]
    if not rows:
        return [None] * len(tokens)
    nearest, similarity = nearest_rows(table.vectors, np.asarray(found.vectors)[rows],
                                       min(N_CANDIDATES, len(table)))
    of_word: dict[str, str] = {}
    for row, candidates, scores in zip(rows, nearest.tolist(), similarity.tolist(), strict=True):
        word = found.words[row]
        usable = (table.words[one] for one, score in zip(candidates, scores, strict=True)
                  if score > 0 and is_known(table.provenance[one]))
        other = next((text for one in usable if one != word and (text := _written(one, tokenizer))), None)
        if other is not None:
            of_word[word] = other
    return [_cased_like(token.token, other) if (other := of_word.get(word)) else None
            for token, word in zip(tokens, words, strict=True)]


def _token_of(word: str, tokenizer: TextTokenizer) -> str:
    """Return the token that a word is; of several subwords, the normalised word, which has no vector."""
    if isinstance(tokenizer, SubwordTokenizer) and len(tokens := tokenizer.words(word)) == 1:
        return tokens[0]
    return tokenizer.fold(word)


def _written(token: str, tokenizer: TextTokenizer) -> str:
    """Return the text that yields exactly this token; "" if there is none."""
    if not isinstance(tokenizer, SubwordTokenizer):
        return token if tokenizer.can_produce(token) else ""
    text = tokenizer.decode(tokenizer.encode_tokens([[token]])[0].tolist()).strip()
    return text if tokenizer.words(text) == [token] else ""


def _cased_like(word: str, other: str) -> str:
    """Return another word in the case of a word, because tagging depends on the case."""
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other


def _is_anchor(token: Token, anchor: Anchor | None) -> bool:
    return anchor is not None and (PARTS.index(token.part), token.start) == anchor
