"""The right name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """The choice that is written most like the word, if any is written nearly like it; the shortest of equals."""
    near = difflib.get_close_matches(word, list(choices), n=5, cutoff=cutoff)
    likeness = {choice: difflib.SequenceMatcher(None, choice, word).ratio() for choice in near}
    return max(near, key=lambda choice: (likeness[choice], -len(choice)), default=None)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence for the end of a message: `` Did you mean 'glove'?``, or nothing."""
    near = nearest(word, choices)
    return f" Did you mean {near!r}?" if near else ""
