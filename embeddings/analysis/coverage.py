"""How much of a text the word vectors know, and the words whose absence weighs most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

N_MISSES = 20


@dataclass(frozen=True)
class Coverage:
    """Shares of a text that a source of vectors knows.

    Attributes:
        n_types: distinct words of the text.
        n_tokens: running words of the text.
        types: share of the distinct words that the source knows, 0 to 1.
        tokens: share of the running words that the source knows, 0 to 1.
        misses: the unknown words that stand most often, with their counts.
        by_provenance: running words by the reason for which they have their vector.
        types_by_provenance: distinct words by that reason.
    """

    n_types: int
    n_tokens: int
    types: float
    tokens: float
    misses: tuple[tuple[str, int], ...]
    by_provenance: Mapping[str, int]
    types_by_provenance: Mapping[str, int]


def measure_coverage(
    counts: Mapping[str, int], provenance: Callable[[str], str], known: Callable[[str], bool]
) -> Coverage:
    """Measure a text, given how often each of its words stands in it.

    Args:
        counts: the words of the text and how often each stands there.
        provenance: why a word has its vector.
        known: whether that reason counts as known to the source.
    """
    reasons = {word: provenance(word) for word in counts}
    misses = Counter({word: count for word, count in counts.items() if not known(reasons[word])})
    by_provenance: Counter[str] = Counter()
    for word, count in counts.items():
        by_provenance[reasons[word]] += count
    n_types, n_tokens = len(counts), sum(counts.values())
    return Coverage(
        n_types=n_types,
        n_tokens=n_tokens,
        types=1 - len(misses) / n_types if n_types else 0.0,
        tokens=1 - misses.total() / n_tokens if n_tokens else 0.0,
        misses=tuple(sorted(misses.items(), key=lambda item: (-item[1], item[0]))[:N_MISSES]),
        by_provenance=dict(by_provenance.most_common()),
        types_by_provenance=dict(Counter(reasons.values()).most_common()),
    )
