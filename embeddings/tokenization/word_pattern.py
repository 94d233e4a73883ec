"""The definition of a word: normalisation and splitting of text, for the ``tokenizers`` library.

A word is a run of letters, marks and digits in any script; a zero-width (non-)joiner inside it is kept (Persian,
Indic). Chinese and Japanese are split into characters, Chinese optionally into words. Thai, Lao, Khmer and Burmese,
which are written without spaces, are split into clusters: a consonant with its vowels and marks. An emoji is one word
with its modifiers: skin tone, variation, joined emoji, flag, keycap (UTS #51).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Regex, normalizers, pre_tokenizers

EMOJI = (
    r"[0-9#*]\x{FE0F}?\x{20E3}"
    r"|[\x{1F1E6}-\x{1F1FF}]{2}"
    r"|(?:\p{Extended_Pictographic}[\x{FE0E}\x{FE0F}]?[\x{1F3FB}-\x{1F3FF}]?[\x{E0020}-\x{E007F}]*)"
    r"(?:\x{200D}\p{Extended_Pictographic}\x{FE0F}?[\x{1F3FB}-\x{1F3FF}]?)*"
)
JAPANESE = r"\p{Hiragana}\p{Katakana}\x{30FC}"
CLUSTERED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
CLUSTER = (
    rf"[\x{{E40}}-\x{{E44}}\x{{EC0}}-\x{{EC4}}]?[{CLUSTERED}]"
    r"[\p{M}\x{E30}\x{E32}\x{E33}\x{E45}\x{EB0}\x{EB2}\x{EB3}]*"
    r"(?:(?<=[\x{1039}\x{17D2}])[\x{1000}-\x{102A}\x{1780}-\x{17B3}]\p{M}*)*"  # stacked consonants
)
LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}\p{{Pc}}&&[^\p{{Han}}{JAPANESE}{CLUSTERED}]]"
JOINERS = r"[\x{200C}\x{200D}]"
INVISIBLE = r"\p{Cc}\x{AD}\x{61C}\x{180E}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}\x{E0001}-\x{E007F}"

# Removed, so that "co\u00ADoperate" is one word: soft hyphen, direction marks, word joiner.
REMOVED = r"[\x{AD}\x{61C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}\x{2066}-\x{2069}\x{FEFF}]"

# Characters that composition or REMOVED may have dropped at the end of a word: all but white space and separators.
BELONGING = re.compile(
    "(?:[\xad\u061c\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]*"
    "[^\\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0001-\U000e007f])*"
)

HAN = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)

# The rule for ASCII, several times faster. English clitics are split off as vector files list them: "do n't", "man 's".
PLAIN = re.compile(
    r"\d+(?:[.,]\d+)*|\w+?(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b|\w+|[^\w\s\x00-\x1f\x7f]", re.ASCII
)
FOREIGN = re.compile(r"[^\x00-\x7f]+(?:[\x00-\x7f]{1,4}[^\x00-\x7f]+)*")  # and short ASCII runs in between
DIGITS = {ord(digit): "0" for digit in "123456789"}


def word_pattern(han: str) -> str:
    """Return the pattern of a word for the ``tokenizers`` library (syntax of Oniguruma)."""
    return "|".join((
        EMOJI,
        r"\d+(?:[.,]\d+)*",
        r"\p{Han}[\p{Han}\p{M}]*" if han == "words" else r"\p{Han}\p{M}*",
        rf"[{JAPANESE}]\p{{M}}*",
        CLUSTER,
        rf"{LETTER}+?(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b",
        rf"{LETTER}+(?:{JOINERS}+{LETTER}+)*",
        rf"[^\s{INVISIBLE}]\p{{M}}*",
    ))


@dataclass(frozen=True)
class WordRule:
    """Options of normalisation and splitting.

    Attributes:
        lowercase: convert to lower case.
        strip_accents: remove accents (é to e, ё to е); vowel signs and points of other scripts are kept.
        fold_digits: replace every digit by 0, for vectors that were trained so.
        han: split Chinese into ``characters``, or into ``words`` with the package jieba.
    """

    lowercase: bool = True
    strip_accents: bool = False
    fold_digits: bool = False
    han: Literal["characters", "words"] = "characters"

    def normalizer(self) -> Any:
        """Return the normalizer of the ``tokenizers`` library; it includes canonical composition (NFC)."""
        steps: list[Any] = [normalizers.Replace(Regex(REMOVED), ""), normalizers.Replace("’", "'")]
        if self.strip_accents:
            steps += [normalizers.NFD(), normalizers.Replace(Regex(r"[\x{300}-\x{36F}]"), "")]
        if self.lowercase:
            steps.append(normalizers.Lowercase())
        steps.append(normalizers.NFC())  # after lower-casing: some accents compose with lower-case letters only
        if self.fold_digits:
            steps.append(normalizers.Replace(Regex(r"\d"), "0"))
        return normalizers.Sequence(steps)

    def pre_tokenizer(self) -> Any:
        """Return the pre-tokenizer of the ``tokenizers`` library."""
        return pre_tokenizers.Split(Regex(word_pattern(self.han)), behavior="removed", invert=True)

    def fold_plain(self, text: str) -> str:
        """Normalise ASCII text; the result equals that of :meth:`normalizer`."""
        folded = text.lower() if self.lowercase else text
        return folded.translate(DIGITS) if self.fold_digits else folded
