"""Loading of the sources of a forecast: nothing is trained, and a source that several sources contain is read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from embeddings.request import Source, VectorRequest
from embeddings.specification import sources
from embeddings.specification.transforms import apply_transforms
from embeddings.table import EmbeddingTable
from pipeline.benchmark.forecast.features import TaskTexts
from pipeline.benchmark.forecast.text_counts import Counted, TextCounts, is_trained_on_text


@dataclass(frozen=True)
class _ReadOnce:
    """A source whose table is kept for the next source that contains it."""

    source: Source
    tables: dict[Source, EmbeddingTable]
    counted: dict[tuple[int, int], Counted]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Return the table; vectors that would be trained are computed from counts."""
        if self.source not in self.tables:
            used = TextCounts(self.source, self.counted) if is_trained_on_text(self.source) else self.source
            self.tables[self.source] = used.load(request)
        return self.tables[self.source]


@dataclass(frozen=True)
class UntrainedSources:
    """Loads sources for the same texts.

    Attributes:
        texts: their words are the vocabulary; they are counted in place of training.
        request: seed, policy, corpus and other options; vocabulary, tokenizer and texts are added.
    """

    texts: TaskTexts
    request: VectorRequest = field(default_factory=VectorRequest)
    _tables: dict[Source, EmbeddingTable] = field(default_factory=dict, repr=False)
    _counted: dict[tuple[int, int], Counted] = field(default_factory=dict, repr=False)

    def load(self, specification: str, transforms: Sequence[str] = ()) -> tuple[EmbeddingTable, bool]:
        """Load the vectors of the words of the texts.

        Returns:
            The vectors, and whether a part of them would be trained.

        Raises:
            EmbeddingError: if the source or a transform is invalid.
        """
        trained: list[Any] = []

        def change(source: Any) -> _ReadOnce:
            trained.extend([source] * is_trained_on_text(source))
            return _ReadOnce(source, self._tables, self._counted)

        counts = dict(zip(self.texts.words, self.texts.counts.tolist(), strict=True))
        request = replace(self.request, vocabulary=counts, tokenizer=self.texts.tokenizer,
                          texts=self.request.texts if self.request.texts is not None else self.texts.texts)
        table = _with_parts(sources.parse(specification), change).load(request)
        return apply_transforms(table, transforms, request), bool(trained)


def _with_parts(source: Any, change: Callable[[Any], Any]) -> Any:
    """Replace each source that contains no other one, also inside the sources that consist of others."""
    parts = {item.name: getattr(source, item.name) for item in fields(source)} if is_dataclass(source) else {}
    inner = {name: tuple(_with_parts(part, change) for part in value) for name, value in parts.items()
             if isinstance(value, tuple) and value and all(hasattr(part, "load") for part in value)}
    return replace(source, **inner) if inner and not isinstance(source, type) else change(source)
