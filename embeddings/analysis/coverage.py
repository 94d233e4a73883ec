"""Coverage of a text by word vectors: fractions of tokens and types, and the most frequent missing words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

N_MISSES = 20


@dataclass(frozen=True)
class Coverage:
    """Coverage of a text by a source of vectors.

    Attributes:
        n_types: number of types (distinct words) of the text.
        n_tokens: number of tokens of the text.
        types: fraction of the types that have a vector, 0 to 1.
        tokens: fraction of the tokens that have a vector, 0 to 1.
        misses: the most frequent words without a vector, with their counts.
        by_provenance: number of tokens by the provenance of their vector.
        types_by_provenance: number of types by the provenance of their vector.
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
    """Measure the coverage of a text.

    Args:
        counts: the words of the text and their counts.
        provenance: returns the provenance of a word's vector.
        known: returns whether a provenance counts as covered.
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
