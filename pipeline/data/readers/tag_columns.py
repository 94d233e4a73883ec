"""Files of columns, a word and its tags in each line: which lines are words, which columns the word and its tag.

The format is that of the CoNLL shared tasks (Tjong Kim Sang & De Meulder 2003) and its relatives: two columns or more;
a first column that numbers the words of each sentence (GermEval 2014, CoNLL-U); columns that a comment
``# global.columns = ...`` or a header line names; comments and marks of documents.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from embeddings.table.arguments import argument
from pipeline.data.readers.tag_schemes import CHUNK_TAG, has_chunk_tags, types_of
from pipeline.errors import DataError

DOCUMENT = "-DOCSTART-"
WORD_NAMES = ("form", "word", "words", "token", "tokens")
TAG_NAMES = ("ner_tags", "ner_tag", "ner", "tags", "tag", "labels", "label", "upos", "pos_tags", "pos_tag", "pos",
             "xpos")
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
UPOS, XPOS = CONLLU.index("upos"), CONLLU.index("xpos")
NUMBERED_SHARE = 0.9
SHOWN = 80  # characters of a line in a message
BLANK = "_"
RESTART = "times the numbers start again without a blank line, and the sentence continues"

_COMMENT = re.compile(r"# *[\w.:-]+(?: [\w.:-]+)* = ")
_MARKED = re.compile(r"#(?:[\s#!]|$|(?:begin|end) |\w+ ?[:=])")
_GLOBAL_COLUMNS = re.compile(r"# *global\.columns *= *(.*)")
_NUMBER = re.compile(r"[0-9]{1,9}")
_RANGE_OR_EMPTY = re.compile(r"[0-9]{1,9}[-.][0-9]{1,9}")  # 1-2: "don't" above "do" and "n't"; 1.1: an elided word
_INDEX = re.compile(r"[+-]?[0-9]{1,6}")


class Line(NamedTuple):
    """A line with a word: its number in the file, and its cells."""

    number: int
    cells: Sequence[str]


@dataclass
class Columns:
    """The layout of a file of columns.

    Attributes:
        separator: character between cells: a tab or a space.
        n_columns: number of columns of most lines.
        names: names of the columns; () if the file has none.
        header: number of the line of column names; 0 for none.
        numbered: whether the first column numbers the words.
        word: index of the column of the words.
        tag: index of the column of the tags; negative from the end.
        notes: what was found besides words: the reason, the number of lines and the first one.
    """

    separator: str
    n_columns: int = 2
    names: tuple[str, ...] = ()
    header: int = 0
    numbered: bool = False
    word: int = 0
    tag: int = -1
    notes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def note(self, what: str, number: int) -> None:
        """Count a line."""
        count, first = self.notes.get(what, (0, number))
        self.notes[what] = (count + 1, first)

    def describe(self, index: int) -> str:
        """Return a column in words, such as ``column 4 (UPOS)``."""
        at = index % self.n_columns
        return f"column {at + 1}{f' ({self.names[at]})' if at < len(self.names) else ''}"


def find_columns(path: Path, lines: Sequence[str], word_column: str = "", tag_column: str = "") -> Columns:
    """Find the layout of a file.

    Args:
        path: the file, for messages.
        lines: its lines.
        word_column: number of the column of the words, from 1 or negative from the end, or its name; "" to find it.
        tag_column: the same for the tags.

    Raises:
        DataError: if a column cannot be found or does not exist.
    """
    columns = Columns(_separator(lines))
    blocks = list(_blocks(lines, columns.separator)) or list(_blocks(lines, columns.separator, with_marked=True))
    if not blocks:
        return columns
    columns.n_columns = Counter(len(line.cells) for block in blocks for line in block).most_common(1)[0][0]
    columns.names, columns.header = _names(lines, blocks, columns.n_columns)
    if columns.header:
        blocks[0] = blocks[0][1:]
    columns.numbered = columns.n_columns > 2 and _is_numbered(blocks)
    columns.word = _chosen(columns, path, word_column, "word_column") if word_column else _find_word(columns)
    values = _values(blocks, columns)
    columns.tag = _chosen(columns, path, tag_column, "tag_column") if tag_column else _find_tag(columns, values, path)
    if columns.n_columns > 1 and columns.word % columns.n_columns == columns.tag % columns.n_columns:
        raise DataError(f"{path}: {columns.describe(columns.word)} cannot be both the words and the tags; choose two "
                        f"columns with {argument('word_column')} and {argument('tag_column')}")
    return columns


def sentences(path: Path, lines: Sequence[str], columns: Columns) -> Iterator[list[Line]]:
    """Yield the lines with words of each sentence, and note the other ones in ``columns``.

    Blank lines separate sentences; in a file without any, a sentence begins where the numbers start again.

    Raises:
        DataError: if a line does not fit the layout; the message names it.
    """
    tags = _tags(lines, columns)
    has_blank_lines = not all(map(str.strip, lines))
    for block in _blocks(lines, columns.separator, with_marked=True):
        sentence: list[Line] = []
        before = -1
        for line in block:
            text = lines[line.number - 1]
            where = f"{path}:{line.number}"
            if line.number == columns.header:
                continue
            if text.startswith("#") and _is_comment(text, line.cells, columns, tags, is_first=not sentence):
                columns.note("comments", line.number)
                continue
            if columns.separator == " " and "\t" in text:
                raise DataError(f"{where}: a tab, in a file whose columns are separated by spaces in most lines; found "
                                f"{_shown(text)}. Use one separator in all lines")
            if columns.numbered:
                number = line.cells[0]
                if _RANGE_OR_EMPTY.fullmatch(number):
                    columns.note("ranges of words (1-2) and empty nodes (1.1)", line.number)
                    continue
                if not _NUMBER.fullmatch(number):
                    raise DataError(f"{where}: the first column numbers the words in the other lines; expected a "
                                    f"number and found {_shown(text)}")
                if sentence and int(number) <= min(before, 1):
                    if has_blank_lines:
                        columns.note(RESTART, line.number)
                    else:
                        yield sentence
                        sentence = []
                before = int(number)
                if (cell(line, columns.word) or "").startswith(DOCUMENT):
                    continue
            sentence.append(line)
        if sentence:
            yield sentence


def cell(line: Line, index: int) -> str | None:
    """Return a cell of a line; None if the line has too few."""
    return line.cells[index] if -len(line.cells) <= index < len(line.cells) else None


def shown(line: Line, separator: str) -> str:
    """Return a line as a message quotes it."""
    return _shown(separator.join(line.cells))


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def _separator(lines: Iterable[str]) -> str:
    """Return a tab if at least half of the lines with words have one, otherwise a space."""
    with_tab = without = 0
    for line in lines:
        if line.strip() and not line.startswith(("#", DOCUMENT)):
            with_tab += "\t" in line
            without += "\t" not in line
    return "\t" if with_tab and with_tab >= without else " "


def _split(line: str, separator: str) -> list[str]:
    """Divide a line at tabs, or at runs of spaces; other white space, such as no-break spaces, is part of a cell."""
    return line.split("\t") if separator == "\t" else [part for part in line.split(" ") if part]


def _blocks(lines: Iterable[str], separator: str, *, with_marked: bool = False) -> Iterator[list[Line]]:
    """Yield the lines between blank lines and marks of documents, with or without those that begin with ``#``."""
    block: list[Line] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(DOCUMENT):
            if block:
                yield block
            block = []
        elif with_marked or not line.startswith("#"):
            block.append(Line(number, _split(line, separator)))
    if block:
        yield block


def _names(lines: Sequence[str], blocks: Sequence[Sequence[Line]], n_columns: int) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns, and the line that has them instead of a word (0 for a comment)."""
    number, cells = blocks[0][0]
    for line in lines[: number - 1]:
        found = _GLOBAL_COLUMNS.match(line)
        if found and len(names := tuple(found[1].split())) == n_columns:
            return names, 0
    lower = {one.strip().lower() for one in cells}
    if len(cells) == n_columns and not lower.isdisjoint(WORD_NAMES) and not lower.isdisjoint(TAG_NAMES):
        return tuple(one.strip() for one in cells), number
    return (), 0


def _is_numbered(blocks: Iterable[Sequence[Line]]) -> bool:
    """Return whether the first column counts the words of each sentence from 0 or 1, at least once beyond that."""
    n_lines = n_fitting = n_next = 0
    for block in blocks:
        before = -1
        for line in block:
            n_lines += 1
            number = line.cells[0]
            if _RANGE_OR_EMPTY.fullmatch(number):
                n_fitting += 1
            elif _NUMBER.fullmatch(number):
                follows = before >= 0 and int(number) == before + 1
                n_next += follows
                n_fitting += follows or number in ("0", "1")
                before = int(number)
    return n_next > 0 and n_fitting >= NUMBERED_SHARE * n_lines


def _chosen(columns: Columns, path: Path, wanted: str, key: str) -> int:
    option = "--" + key.replace("_", "-")
    if _INDEX.fullmatch(wanted):
        index = int(wanted)
        if not 1 <= abs(index) <= columns.n_columns:
            raise DataError(f"{path}: there is no column {wanted}; most lines have {columns.n_columns} columns. Choose "
                            f"one with {option} NUMBER, from 1, or negative from the end")
        return index - 1 if index > 0 else index
    for names in (columns.names, [name.lower() for name in columns.names]):
        for name in (wanted, wanted.lower()):
            if name in names:
                return list(names).index(name)
    known = (f"the columns are {', '.join(columns.names[:SHOWN])}" if columns.names else
             "the file does not name its columns (in a header line, or a comment # global.columns = ...)")
    raise DataError(f"{path}: no column {wanted!r}; {known}. Choose one with {option} NUMBER, from 1, or negative from "
                    "the end")


def _find_word(columns: Columns) -> int:
    names = [name.lower() for name in columns.names]
    return next((names.index(name) for name in WORD_NAMES if name in names), int(columns.numbered))


def _values(blocks: Iterable[Sequence[Line]], columns: Columns) -> list[Counter[str]]:
    """Return the counts of the cells of each column, in lines with the usual number of columns."""
    values: list[Counter[str]] = [Counter() for _ in range(columns.n_columns)]
    for block in blocks:
        for line in block:
            if len(line.cells) == columns.n_columns and not _RANGE_OR_EMPTY.fullmatch(line.cells[0]):
                for counts, one in zip(values[1:], line.cells[1:], strict=True):
                    counts[one.strip()] += 1
    return values


def _find_tag(columns: Columns, values: Sequence[Counter[str]], path: Path) -> int:
    """Return the column of chunk tags, or that of parts of speech.

    In files without numbers it is the last column, unless its tags mark no chunks and those of another one do. In files
    with numbers, the first column after the word precedes other layers of the same annotation; otherwise the last one
    of chunk tags is the tag, as in files without numbers.
    """
    after = columns.word % columns.n_columns + 1
    chunks = [i for i in range(after, columns.n_columns) if has_chunk_tags(values[i])]
    if not columns.numbered:
        marked = [i for i in chunks if types_of(values[i])]
        return marked[-1] - columns.n_columns if marked and columns.n_columns - 1 not in chunks else -1
    if chunks:
        first, last = types_of(values[chunks[0]]), types_of(values[chunks[-1]])
        return chunks[0] if chunks[0] == after and (first & last or not last) else chunks[-1]
    if columns.n_columns == after + 1:
        return after
    names = [name.lower() for name in columns.names] or (CONLLU if columns.n_columns == len(CONLLU) else [])
    for name in TAG_NAMES:
        if name in names and set(values[names.index(name)]) != {BLANK}:
            return names.index(name)
    raise DataError(f"{path}: the first column numbers the words, and none of the other "
                    f"{columns.n_columns - 1} columns has tags such as B-x and O; choose the column of the tags with "
                    f"{argument('tag_column', 'NUMBER')}, from 1")


def _tags(lines: Sequence[str], columns: Columns) -> set[str]:
    """Return the tags of the lines that do not begin with ``#``."""
    found = (cell(line, columns.tag) for block in _blocks(lines, columns.separator) for line in block)
    return {tag.strip() for tag in found if tag}


def _is_comment(text: str, cells: Sequence[str], columns: Columns, tags: set[str], *, is_first: bool) -> bool:
    """Return whether a line that begins with ``#`` is a comment, not the word ``#``."""
    if columns.numbered or (is_first and _COMMENT.match(text)):
        return True
    if not is_first or not _MARKED.match(text):
        return False
    tag = (cell(Line(0, cells), columns.tag) or "").strip()
    is_word = len(cells) == columns.n_columns and (tag in tags or bool(CHUNK_TAG.fullmatch(tag)))
    return not is_word
