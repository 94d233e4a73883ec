"""Schemes of tags: how the tags of words mark chunks, such as the words of a name.

IOB1 and IOB2 (``B-x``, ``I-x``, ``O``), IOBES (also ``E-x`` for the last word of a chunk, ``S-x`` for a chunk of one
word), BILOU (``L-x``, ``U-x``), BMES (``M-x`` for the inner words), or plain tags, which mark single words, such as
parts of speech. Letters of a scheme without a type (``B``, ``I``, ``O``) mark chunks of one type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

PLAIN = "plain tags"
OUTSIDE = "O"
ONLY_TYPE = "entity"
LETTERS = frozenset("OBIESLUM")

CHUNK_TAG = re.compile(r"O|[BIESLUM]-\S+")
CHUNK_TAGS = "O, B-x or I-x (IOB1, IOB2), E-x or S-x (IOBES), L-x or U-x (BILOU), or M-x (BMES)"

_EXCLUSIVE = (  # letters that do not occur in one scheme
    ("ES", "LU", "E- and S- belong to IOBES, L- and U- to BILOU"),
    ("M", "LU", "M- belongs to BMES, L- and U- to BILOU"),
    ("M", "I", "M- belongs to BMES, I- to the other schemes"),
)


def has_chunk_tags(counts: Mapping[str, int]) -> bool:
    """Return whether at least half of the words of a column have a tag of a scheme.

    Args:
        counts: number of words by tag.
    """
    return 2 * sum(count for tag, count in counts.items() if CHUNK_TAG.fullmatch(tag)) >= sum(counts.values())


def types_of(tags: Iterable[str]) -> set[str]:
    """Return the types of the chunks that tags mark."""
    return {tag[2:] for tag in tags if tag != OUTSIDE and CHUNK_TAG.fullmatch(tag)}


def has_only_letters(counts: Mapping[str, int]) -> bool:
    """Return whether the tags of a column are the letters of a scheme without types, such as ``B``, ``I`` and ``O``."""
    return len(counts) > 1 and LETTERS.issuperset(counts) and not {"B", "I"}.isdisjoint(counts)


def with_type(tag: str) -> str:
    """Add a type to the letter of a scheme, the same to all."""
    return tag if tag == OUTSIDE else f"{tag}-{ONLY_TYPE}"


def conflict(letters: set[str]) -> str:
    """Return why the first letters of tags belong to different schemes; "" if they do not."""
    return next((why for some, others, why in _EXCLUSIVE if letters & set(some) and letters & set(others)), "")


def scheme_of(sentences: Sequence[Sequence[str]]) -> str:
    """Return the name of the scheme of chunk tags."""
    letters = {tag[0] for tags in sentences for tag in tags}
    if "M" in letters:
        return "BMES"
    if letters & set("ES"):
        return "IOBES"
    if letters & set("LU"):
        return "BILOU"
    return "IOB1" if _begin_with_inside(sentences) else "IOB2"


def _begin_with_inside(sentences: Sequence[Sequence[str]]) -> bool:
    """Return whether most chunks that do not follow one of their type begin with ``I-``."""
    inside = begin = 0
    for tags in sentences:
        for before, tag in zip((OUTSIDE, *tags), tags, strict=False):
            if tag != OUTSIDE and before[2:] != tag[2:]:
                inside += tag[0] == "I"
                begin += tag[0] == "B"
    return inside > begin
