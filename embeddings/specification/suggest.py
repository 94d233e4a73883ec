"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """Return the choice with the most similar spelling, or None if none is similar; of equal ones the shortest."""
    near = difflib.get_close_matches(word, list(choices), n=5, cutoff=cutoff)
    similarity = {choice: difflib.SequenceMatcher(None, choice, word).ratio() for choice in near}
    return max(near, key=lambda choice: (similarity[choice], -len(choice)), default=None)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a sentence for the end of an error message, `` Did you mean 'glove'?``, or an empty string."""
    near = nearest(word, choices)
    return f" Did you mean {near!r}?" if near else ""
