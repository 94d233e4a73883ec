"""Selection of a vocabulary by word counts."""

from __future__ import annotations

from collections.abc import Mapping


def build_vocabulary(counts: Mapping[str, int], *, min_count: int = 1, max_words: int | None = None) -> dict[str, int]:
    """Return the frequent words and their counts, in order of decreasing count; ties are in alphabetical order.

    Args:
        counts: count of each word in the text.
        min_count: words with smaller counts are dropped.
        max_words: maximum number of words; the rarest are dropped.
    """
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {word: count for word, count in frequent[:max_words] if count >= min_count}
