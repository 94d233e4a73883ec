"""Tagged words in columns, as the shared tasks of CoNLL have them (Tjong Kim Sang & De Meulder 2003).

A line a word, its tag last; a blank line between sentences. The tags mark chunks in one of four schemes: IOB1, IOB2
(``B-x``, ``I-x``, ``O``), IOBES (also ``E-x`` for the last word, ``S-x`` for a lone one) and BILOU (``L-x``, ``U-x``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.data.examples import Splits, TaggedExample
from pipeline.data.readers.splits import Kind, read_parts
from pipeline.data.readers.tables import lines_of, read_text
from pipeline.errors import DataError

SUFFIXES = (".conll", ".txt", ".tsv", ".bio", ".iob2", ".iob")
DOCUMENT = "-DOCSTART-"

_COMMENT = re.compile(r"# *[\w.:-]+(?: [\w.:-]+)* = ")
_TAG = re.compile(r"O|[BIESLU]-\S+")


def read_tagged(config: DataConfig, *, seed: int) -> Splits[TaggedExample]:
    """Read and cut a data set: a folder with train/dev/test files, or one file.

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    return read_parts(_KIND, config, seed=seed)


def read_tagged_file(path: Path, config: DataConfig) -> tuple[TaggedExample, ...]:
    """Read one file; its columns are cut at tabs, or at blanks if it has no tab.

    Lines ``-DOCSTART-`` and comments as CoNLL-U has them (``# key = value``, before a sentence) are passed over.

    Raises:
        DataError: if the file is missing, not UTF-8 or holds no sentence, a line has no tag, or the tags are of no
            scheme above; the message gives the line.
    """
    text = read_text(path)
    examples = tuple(_sentences(path, lines_of(text), "\t" if "\t" in text else None))
    if not examples:
        raise DataError(f"{path}: the file holds no tagged words; a line is a word, a tab and its tag")
    return examples


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
            raise DataError(f"{path}:{number}: the tag {tag!r} is of another scheme than those above it "
                            f"(E- and S- are of IOBES, L- and U- of BILOU)")
        first = first if words else number
        words.append(word)
        tags.append(tag)


def _columns(line: str, separator: str | None, where: str) -> tuple[str, str]:
    cells = line.split(separator)
    if len(cells) < 2 or not cells[0]:
        raise DataError(f"{where}: expected a word and its tag in columns, cut at {'tabs' if separator else 'blanks'}; "
                        f"found {line!r}")
    tag = cells[-1].strip()
    if not _TAG.fullmatch(tag):
        raise DataError(f"{where}: the tag {tag!r} is of no known scheme; the last column holds O, B-x and I-x "
                        f"(IOB1, IOB2), also E-x and S-x (IOBES) or L-x and U-x (BILOU)")
    return cells[0], tag


_KIND = Kind(
    suffixes=SUFFIXES,
    read=read_tagged_file,
    texts=lambda examples: [" ".join(example.words) for example in examples],
)
