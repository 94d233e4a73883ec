"""Tagged words in columns, the format of the CoNLL shared tasks (Tjong Kim Sang & De Meulder 2003).

One word per line with its tag in the last column; a blank line between sentences. Tags follow one of four schemes:
IOB1, IOB2 (``B-x``, ``I-x``, ``O``), IOBES (also ``E-x`` for the last word of a chunk, ``S-x`` for a chunk of one word)
or BILOU (``L-x``, ``U-x``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import TaggedExample
from pipeline.data.readers.base import Reader
from pipeline.data.readers.tables import lines_of, read_text
from pipeline.errors import DataError

SUFFIXES = (".conll", ".txt", ".tsv", ".bio", ".iob2", ".iob")
DOCUMENT = "-DOCSTART-"

_COMMENT = re.compile(r"# *[\w.:-]+(?: [\w.:-]+)* = ")
_BRACKETED = re.compile(r"</?([^<>]+)>")
_TAG = re.compile(r"O|[BIESLU]-\S+")


class TaggedReader(Reader[TaggedExample]):
    """Read tagged words in columns."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of files in columns."""
        return SUFFIXES

    def read_file(self, path: Path, config: DataConfig) -> tuple[TaggedExample, ...]:
        """Read one file; columns are separated by tabs, or by blanks if the file has no tab.

        Lines ``-DOCSTART-`` and comments of CoNLL-U (``# key = value``, before a sentence) are skipped.

        Raises:
            DataError: if the file is missing, not UTF-8 or has no sentence, a line has no tag, or a tag belongs to none
                of the four schemes; the message names the line.
        """
        text = read_text(path)
        examples = tuple(_sentences(path, lines_of(text), "\t" if "\t" in text else None))
        if not examples:
            raise DataError(f"{path}: the file has no tagged words; a line is a word, a tab and its tag")
        return examples

    def example(self, text: str, context: str) -> TaggedExample:
        """Make an example of a text whose words are separated by blanks."""
        return TaggedExample(tuple(text.split()), (), "the given text")

    def texts(self, examples: Sequence[TaggedExample]) -> list[Text]:
        """Return the words of each sentence."""
        return [without_brackets(example.words) for example in examples]


def without_brackets(words: Sequence[str]) -> tuple[str, ...]:
    """Remove the brackets of words such as ``<unk>``, which would otherwise be read as special tokens."""
    return tuple(match[1] if (match := _BRACKETED.fullmatch(word)) else word for word in words)


def _sentences(path: Path, lines: Iterable[str], separator: str | None) -> Iterator[TaggedExample]:
    words: list[str] = []
    tags: list[str] = []
    prefixes: set[str] = set()
    first = 0
    for number, line in enumerate([*lines, ""], start=1):
        if not line.strip() or line.startswith(DOCUMENT):
            if words:
                yield TaggedExample(tuple(words), tuple(tags), f"{path}:{first}")
            words, tags = [], []
            continue
        if not words and _COMMENT.match(line):
            continue
        word, tag = _columns(line, separator, f"{path}:{number}")
        prefixes.add(tag[0])
        if {"E", "S"} & prefixes and {"L", "U"} & prefixes:
            raise DataError(f"{path}:{number}: the tag {tag!r} and earlier tags belong to different schemes "
                            "(E- and S- to IOBES, L- and U- to BILOU); use one scheme in a file")
        first = first if words else number
        words.append(word)
        tags.append(tag)


def _columns(line: str, separator: str | None, where: str) -> tuple[str, str]:
    cells = line.split(separator)
    if len(cells) < 2 or not cells[0]:
        raise DataError(f"{where}: expected a word and its tag, separated by {'a tab' if separator else 'blanks'}; "
                        f"found {line!r}")
    tag = cells[-1].strip()
    if not _TAG.fullmatch(tag):
        raise DataError(f"{where}: the tag {tag!r} belongs to no known scheme; the last column must be O, B-x or I-x "
                        "(IOB1, IOB2), E-x or S-x (IOBES), or L-x or U-x (BILOU)")
    return cells[0], tag
