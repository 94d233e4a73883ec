"""The right name for a wrong one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str], *, cutoff: float = 0.5) -> str | None:
    """The choice that is written most like the word, if any is written nearly like it."""
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=cutoff)), None)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence for the end of a message: `` Did you mean 'glove'?``, or nothing."""
    near = nearest(word, choices)
    return f" Did you mean {near!r}?" if near else ""
