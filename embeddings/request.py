"""What a source receives (:class:`VectorRequest`) and what it implements (:class:`Source`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from embeddings.progress import Progress, silent
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, OOVPolicy
from embeddings.table.paths import written
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.tokenization.tokenizer import WordTokenizer

T = TypeVar("T", bound=type)

UNKNOWN = "unknown"
"""A licence that is not known here."""


@dataclass(frozen=True)
class VectorRequest:
    """The words that need vectors, and what a source may use to make them.

    Attributes:
        vocabulary: the words that need vectors, with their counts in the text; None for all words of the source.
        extra_words: further words to keep if the source has them, such as those of the test set.
        n_frequent: number of additional words to keep, the source's most frequent first, for texts seen later.
        texts: training texts of sources that are trained; iterated more than once.
        tokenizer: splits those texts into words.
        seed: seed of all random numbers.
        dim: dimension of the vectors of a source without a dimension (``random``).
        unknown: out-of-vocabulary policy: how words that the source does not list are looked up.
        trust_pickle: allow pickle files, which can execute arbitrary code.
        shared: folder in which trained vectors are kept, so that equal requests are trained once.
        progress: progress callback.
    """

    vocabulary: Mapping[str, int] | None = None
    extra_words: Collection[str] = frozenset()
    n_frequent: int = 0
    texts: Iterable[Text] | None = None
    tokenizer: TextTokenizer = field(default_factory=WordTokenizer)
    seed: int = 1
    dim: int = 128
    unknown: OOVPolicy = DEFAULT_POLICY
    trust_pickle: bool = False
    shared: Path | None = None
    progress: Progress = silent

    def kept(self, words: Sequence[str]) -> list[bool]:
        """Return for each word of a source whether a reader keeps its row.

        A requested word may be listed in another spelling; additional frequent words are kept if the tokenizer can
        produce them.

        Args:
            words: all words of the source, or the first ones, in the order of the rows.
        """
        if self.reads_all:
            return [True] * len(words)
        requested = self.listed_forms()
        frequent = chain(self.tokenizer.producible(words[: self.n_frequent]), repeat(False))
        return [is_frequent or word in requested for word, is_frequent in zip(words, frequent, strict=False)]

    @property
    def reads_all(self) -> bool:
        """Whether every row is needed: no vocabulary is given, or the policy may use any row."""
        return self.vocabulary is None or self.unknown.reads_all

    def listed_forms(self) -> set[str]:
        """Return every form in which a source may list one of the requested words."""
        words = {*(self.vocabulary or ()), *self.extra_words}
        return words | {variant for word in words for variant, _ in self.unknown.variants(word)}


class Origin(NamedTuple):
    """Where word vectors come from, for the card of a run.

    Attributes:
        description: what they are, and where they were published.
        licence: their licence in words; :data:`UNKNOWN` if it is not known here.
        identifier: the licence as Hugging Face writes it, such as ``pddl`` or ``cc-by-sa-4.0``; "" for none.
    """

    description: str
    licence: str = UNKNOWN
    identifier: str = ""


class Source(Protocol):
    """A source of word vectors."""

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Return the vectors of the requested words that the source has.

        Raises:
            EmbeddingError: if the user has to correct something.
        """
        ...

    def files(self) -> Iterable[Path]:
        """Return the files and folders that decide the result; by default the paths among the options."""
        ...

    def origins(self) -> Sequence[Origin]:
        """Return where the vectors come from; by default those of the parts, or the name with an unknown licence."""
        ...


def with_files(cls: T) -> T:
    """Give a dataclass without a method ``files`` the default one: the paths among its options."""
    if not hasattr(cls, "files"):
        cls.files = _option_files  # type: ignore[attr-defined]
    return cls


def with_origins(name: str, cls: T) -> T:
    """Give a source without a method ``origins`` the default one."""
    if not hasattr(cls, "origins"):
        cls.origins = lambda source: _default_origins(name, source)  # type: ignore[attr-defined]
    return cls


def _default_origins(name: str, options: Any) -> list[Origin]:
    if parts := getattr(options, "parts", ()):
        return list(dict.fromkeys(chain.from_iterable(part.origins() for part in parts)))
    path = getattr(options, "path", None)
    return [Origin(name if path is None else f"{name}:{written(path)}")]


def _option_files(options: Any) -> list[Path]:
    values = (getattr(options, item.name) for item in fields(options))
    return [value for value in values if isinstance(value, Path)]
