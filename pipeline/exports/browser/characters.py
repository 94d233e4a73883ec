"""Classes of characters that the page uses, so that its words do not depend on the Unicode version of the browser.

``characters.js`` has them as ranges. It is written by ``python -m pipeline.exports.browser.characters``; a test
compares it with the ``tokenizers`` library and with Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

from embeddings.table.atomic_files import write_atomically
from embeddings.tokenization.word_pattern import CLUSTERED, INVISIBLE, JAPANESE, LETTER

FILE = Path(__file__).with_name("characters.js")
SURROGATES = range(0xD800, 0xE000)
LIMIT = 0x110000
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Characters = Iterable[str]
"""Single characters, in ascending order."""


def by_library(pattern: str) -> Callable[[Characters], set[str]]:
    """Return a function that selects the characters which match a pattern of the ``tokenizers`` library."""
    splitter = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)

    def selected(characters: Characters) -> set[str]:
        return {found for found, _ in splitter.pre_tokenize_str("".join(characters))}

    return selected


def by_python(holds: Callable[[str], object]) -> Callable[[Characters], set[str]]:
    """Return a function that selects the characters for which a condition holds."""
    return lambda characters: {character for character in characters if holds(character)}


def lowered(characters: Characters) -> set[str]:
    """Select the characters that the ``tokenizers`` library changes to lower case."""
    lower = normalizers.Lowercase()
    return {character for character in characters if lower.normalize_str(character) != character}


def combining(characters: Characters) -> set[str]:
    """Select all characters that take part in canonical composition or decomposition in the ``tokenizers`` library.

    Normalisation of runs of these characters alone is normalisation of the whole text.
    """
    decompose = normalizers.NFD().normalize_str
    found: set[str] = set()
    for character in characters:
        parts = decompose(character)
        if parts != character:
            found |= {character, *parts}
        elif decompose("a\u0345" + character) != "a\u0345" + character:  # reordered before the last combining class
            found.add(character)
    return found | {"\u0345"}


def is_cased(character: str) -> bool:
    """Whether a sigma after this character is final."""
    return (character + "Σ").lower().endswith("ς")


def is_case_ignorable(character: str) -> bool:
    """Whether a character is skipped when Python determines whether a sigma is final."""
    return not is_cased(character) and ("a" + character + "Σ").lower().endswith("ς")


CLASSES: dict[str, Callable[[Characters], set[str]]] = {
    "lowered": lowered,
    "combining": combining,
    "digit": by_library(r"\d"),
    "emoji": by_library(r"\p{Extended_Pictographic}"),
    "han": by_library(r"\p{Han}"),
    "japanese": by_library(f"[{JAPANESE}]"),
    "clustered": by_library(f"[{CLUSTERED}]"),
    "letter": by_library(LETTER),
    "mark": by_library(r"\p{M}"),
    "word": by_library(r"\w"),
    "skipped": by_library(rf"[\s{INVISIBLE}]"),
    "pythonWord": by_python(re.compile(r"\w").match),
    "pythonSpace": by_python(str.isspace),
    "pythonLowered": by_python(lambda character: character.lower() != character),
    "pythonCased": by_python(is_cased),
    "pythonIgnorable": by_python(is_case_ignorable),
}
"""Selects the characters of each class; those of Python are for n-grams, as scikit-learn forms them."""


def encoded(characters: set[str]) -> str:
    """Encode a class: the gap before each range and its length minus 1, in base 36; a length of 1 is left out."""
    codes = sorted(map(ord, characters))
    parts, end, start = [], 0, 0
    while start < len(codes):
        stop = start + 1
        while stop < len(codes) and codes[stop] == codes[stop - 1] + 1:
            stop += 1
        gap, longer = base36(codes[start] - end), stop - start - 1
        parts.append(f"{gap}.{base36(longer)}" if longer else gap)
        end, start = codes[stop - 1] + 1, stop
    return ",".join(parts)


def decoded(text: str) -> Iterator[str]:
    """Yield the characters of an encoded class; the inverse of :func:`encoded`."""
    end = 0
    for part in text.split(","):
        gap, _, longer = part.partition(".")
        start = end + int(gap, 36)
        end = start + (int(longer, 36) if longer else 0) + 1
        yield from map(chr, range(start, end))


def base36(number: int) -> str:
    """Return a number in base 36."""
    head, digit = divmod(number, 36)
    return (base36(head) if head else "") + DIGITS[digit]


def content() -> str:
    """Return the content of ``characters.js``, computed in about a minute."""
    characters = [chr(code) for code in range(LIMIT) if code not in SURROGATES]
    lines = [f"  {name}: \"{encoded(select(characters))}\"," for name, select in CLASSES.items()]
    return "\n".join((
        "// Written by `python -m pipeline.exports.browser.characters`: ranges of code points as the gap before each",
        "// and its length minus 1, in base 36. Canonical normalisation concerns the characters of \"combining\".",
        "const CHARACTERS = {", *lines, "};", ""))


if __name__ == "__main__":
    write_atomically(FILE, content())
