"""From how often words stand in text to the words that are kept."""

from __future__ import annotations

from collections.abc import Mapping


def build_vocabulary(counts: Mapping[str, int], *, min_count: int = 1, max_words: int | None = None) -> dict[str, int]:
    """The words that are frequent enough, the most frequent first; equally frequent ones by their spelling.

    Args:
        counts: how often each word stands in the text.
        min_count: leave out words that stand more rarely.
        max_words: keep no more than this many, the most frequent.
    """
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {word: count for word, count in frequent[:max_words] if count >= min_count}
