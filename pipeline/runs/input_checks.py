"""Checks of the texts to predict for: empty ones, ones without a known word, and ones that are truncated."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table.arguments import either
from embeddings.tokenization.interface import Text, TextTokenizer
from pipeline.data.examples import QuestionExample, TaggedExample
from pipeline.errors import DataError
from pipeline.tasks.base import Prediction, Prepared, Task
from pipeline.tasks.resolved import Setup

WARNING = "warning"   # key of a prediction
MAX_PUNCTUATION = 20  # distinct known tokens of a text, above which it is assumed to have a word among them


class InputCheck(NamedTuple):
    """What was found in the texts of one example.

    Attributes:
        warning: why its prediction does not depend on its words; "" if it does.
        truncated: whether the model reads a part of it only.
    """

    warning: str
    truncated: bool


def texts_of(example: Any, task: Task[Any], setup: Setup[Any]) -> dict[str, Text]:
    """Return the texts of an example that the model reads, by their name for messages."""
    if isinstance(example, QuestionExample):
        return {"question": example.question, "context": example.context}
    if setup.resolved.token_types and hasattr(example, "text_b"):
        return {"text": example.text, "second text": example.text_b}
    texts = task.reader.texts([example])
    return {"text": texts[0] if texts else ""}


def require_context_is_read(example: Any, context: str, task: Task[Any], setup: Setup[Any]) -> None:
    """Require that a context that was given is an input of the model.

    Raises:
        DataError: if the model reads single texts.
    """
    if context and context not in list(texts_of(example, task, setup).values())[1:]:
        raise DataError("a context was given, but the model of this run reads single texts; leave out "
                        f"{either('--context', 'contexts=')}")


def check_inputs(task: Task[Any], prepared: Prepared[Any], setup: Setup[Any]) -> list[InputCheck]:
    """Check the texts of encoded examples."""
    tokenizer = prepared.tokenizers.source
    named = [texts_of(example, task, setup) for example in prepared.examples]
    ids = iter(tokenizer.encode([text for texts in named for text in texts.values()]))
    encoded = [{name: next(ids) for name in texts} for texts in named]
    n_read = np.zeros(len(named), dtype=np.int64)
    for feature in prepared.features:
        n_read[feature.example] += _n_tokens(feature.ids)
    checks = []
    for i, (texts, of_texts) in enumerate(zip(named, encoded, strict=True)):
        n_tokens = sum(map(_n_tokens, of_texts.values()))
        is_cut = not task.reader.in_order and not isinstance(prepared.examples[i], TaggedExample)
        checks.append(InputCheck(_warning(texts, of_texts, tokenizer), is_cut and n_tokens > n_read[i]))
    return checks


def flagged(predictions: Sequence[Prediction], checks: Sequence[InputCheck]) -> list[Prediction]:
    """Return predictions, those that do not depend on words of their text with a ``warning``."""
    return [{**prediction, WARNING: check.warning} if check.warning else prediction
            for prediction, check in zip(predictions, checks, strict=True)]


@dataclass
class CheckCounts:
    """Numbers of texts that were checked, that have a warning, and that are truncated."""

    n: int = 0
    n_flagged: int = 0
    n_truncated: int = 0

    def add(self, checks: Sequence[InputCheck]) -> None:
        """Count the checks of some texts."""
        self.n += len(checks)
        self.n_flagged += sum(bool(check.warning) for check in checks)
        self.n_truncated += sum(check.truncated for check in checks)

    def summary(self, max_length: int) -> str:
        """Return one sentence with the numbers of texts that have a warning or are truncated; "" for none."""
        parts = []
        if self.n_flagged:
            parts.append(f"{self.n_flagged:,} of {self.n:,} texts empty or without a known word; their predictions "
                         "are marked")
        if self.n_truncated:
            parts.append(f"{self.n_truncated:,} of {self.n:,} texts longer than data.max_length = {max_length:,} "
                         "tokens; they are truncated")
        return "; ".join(parts)


def _n_tokens(ids: NDArray[np.int32]) -> int:
    return int(((ids >= N_SPECIAL) | (ids == UNK_ID)).sum())


def _warning(texts: Mapping[str, Text], encoded: Mapping[str, NDArray[np.int32]], tokenizer: TextTokenizer) -> str:
    problems = []
    for name, text in texts.items():
        if not (text.strip() if isinstance(text, str) else text):
            problems.append(f"the {name} is empty")
        elif not _has_known_word(text, encoded[name], tokenizer):
            problems.append(f"the {name} has no known word")
    return "; ".join(problems)


def _has_known_word(text: Text, ids: NDArray[np.int32], tokenizer: TextTokenizer) -> bool:
    """Whether a text has a token with a vector that is not punctuation."""
    known = ids[ids >= N_SPECIAL]
    if not len(known):
        return False
    if len(known) > MAX_PUNCTUATION and len(np.unique(known)) > MAX_PUNCTUATION:
        return True
    words = tokenizer.words(text)
    if tokenizer.units == "subwords":  # without their notation
        whole = text if isinstance(text, str) else " ".join(text)
        words = [whole[span.start:span.end] for span in tokenizer.spans(whole)]
    return any(i >= N_SPECIAL and not _is_punctuation(word) for word, i in zip(words, ids, strict=False))


def _is_punctuation(word: str) -> bool:
    return all(unicodedata.category(character)[0] in "PZC" for character in word)
