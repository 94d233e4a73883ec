"""Facts about the data of a run from which a recipe is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from embeddings.tokenization.interface import Text
from pipeline.data.examples import Splits
from pipeline.runs.coverage_advice import LANGUAGES, guess_language
from pipeline.tasks.base import Task

SAMPLE = 2000  # texts whose mean length is measured


@dataclass(frozen=True)
class Facts:
    """What a recipe knows about the data.

    Attributes:
        task: name of the task.
        n_labelled: number of labelled training examples.
        n_unlabelled: number of texts without a label.
        n_labels: number of distinct labels; 0 if gold answers are not single labels.
        has_pairs: whether examples have a second text.
        has_target: whether the output is text with its own vocabulary.
        texts: the training texts, labelled ones first.
    """

    task: str
    n_labelled: int
    n_unlabelled: int
    n_labels: int
    has_pairs: bool
    has_target: bool
    texts: Sequence[Text]

    @cached_property
    def mean_tokens(self) -> float:
        """Mean number of tokens of a sample of texts, counted at white space."""
        step = max(1, len(self.texts) // SAMPLE)
        lengths = [len(text.split()) if isinstance(text, str) else len(text) for text in self.texts[::step]]
        return sum(lengths) / max(1, len(lengths))

    @cached_property
    def language(self) -> str:
        """ISO 639 code of the language of the texts; "" if it is not certain."""
        return guess_language(self.texts)

    @property
    def language_name(self) -> str:
        """Name of the language in English."""
        return LANGUAGES.get(self.language, f"language {self.language!r}") if self.language else "language not certain"

    def __str__(self) -> str:
        of_labels = f" with {self.n_labels} labels" if self.n_labels else ""
        unlabelled = f"{self.n_unlabelled:,} unlabelled texts" if self.n_unlabelled else "no unlabelled text"
        return (f"{self.n_labelled:,} training examples{of_labels}, {unlabelled}, {self.mean_tokens:.0f} words a text, "
                f"{self.language_name}")


def find_facts(task: Task[Any], splits: Splits[Any]) -> Facts:
    """Find the facts in the training data; dev and test have no influence."""
    golds = {example.gold for example in splits.train if isinstance(example.gold, str)} - {""}
    return Facts(
        task=task.name,
        n_labelled=len(splits.train),
        n_unlabelled=len(splits.unlabelled),
        n_labels=len(golds),
        has_pairs=any(getattr(example, "text_b", "") for example in splits.train),
        has_target=bool(task.reader.target_texts(splits.train[:1])),
        texts=[*task.reader.texts(splits.train), *splits.unlabelled],
    )
