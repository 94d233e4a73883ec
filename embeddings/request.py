"""What a source is asked for, and what a source is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from embeddings.progress import Progress, silent
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, OOVPolicy
from embeddings.tokenization.tokenizer import Text, WordTokenizer


@dataclass(frozen=True)
class VectorRequest:
    """What a source may draw on, and which words matter.

    Attributes:
        vocabulary: the words to give vectors to, with how often each stands in the text; ``None`` asks for all that the
            source knows.
        extra_words: further words to keep if the source knows them, such as those of the test set.
        n_frequent: how many more words to keep, the source's most frequent first: words that may be met after training.
        texts: what a source that learns learns from; iterated more than once.
        tokenizer: cuts those texts into words.
        seed: decides everything random.
        dim: width for a source that has none of its own (``random``).
        unknown: what will be tried for words that the source does not list.
        trust_pickle: whether files that can run code when they are read (pickles) may be.
        shared: folder where vectors that a source learns are kept, so that equal requests learn them once.
        progress: told how far long work has come.
    """

    vocabulary: Mapping[str, int] | None = None
    extra_words: Collection[str] = frozenset()
    n_frequent: int = 0
    texts: Iterable[Text] | None = None
    tokenizer: WordTokenizer = field(default_factory=WordTokenizer)
    seed: int = 1
    dim: int = 128
    unknown: OOVPolicy = DEFAULT_POLICY
    trust_pickle: bool = False
    shared: Path | None = None
    progress: Progress = silent

    def row_filter(self) -> Callable[[str, int], bool]:
        """Make the rule by which a reader keeps rows: given a word and its row's number, whether it is wanted.

        A wanted word may stand in the file in another spelling; further words are kept if text can produce them.
        """
        if self.reads_all:
            return lambda _word, _row: True
        wanted = self.listed_forms()
        n_frequent, tokenizer = self.n_frequent, self.tokenizer

        def keep(word: str, row: int) -> bool:
            return word in wanted or (row < n_frequent and tokenizer.can_produce(tokenizer.fold(word)))

        return keep

    @property
    def reads_all(self) -> bool:
        """Whether every word of a source is to be read: none are named, or any may be needed for those that are."""
        return self.vocabulary is None or self.unknown.reads_all

    def listed_forms(self) -> set[str]:
        """Every form in which a source may list one of the words that matter."""
        words = {*(self.vocabulary or ()), *self.extra_words}
        return words | {variant for word in words for variant, _ in self.unknown.variants(word)}


class Source(Protocol):
    """A source of word vectors."""

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Give the vectors of the words that the source knows, of those asked for.

        Raises:
            EmbeddingError: if there is something that the user must mend.
        """
        ...
