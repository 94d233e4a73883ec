"""Tagged words: in columns, as in the CoNLL shared tasks (Tjong Kim Sang & De Meulder 2003), or as lists in a table.

In columns, one word per line with its tag, and a blank line between sentences; :mod:`pipeline.data.readers.tag_columns`
finds the columns, :mod:`pipeline.data.readers.tag_schemes` has the schemes of tags.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.table.arguments import argument
from embeddings.table.paths import from_written, written
from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import Splits, TaggedExample
from pipeline.data.readers import cells, findings, tag_schemes
from pipeline.data.readers.base import Reader, find_files
from pipeline.data.readers.columns import find_column
from pipeline.data.readers.files import COMPRESSIONS, format_suffix, lines_of, read_text
from pipeline.data.readers.rows import Row
from pipeline.data.readers.tables import JSON, read_rows
from pipeline.data.readers.tag_columns import RESTART, Columns, Line, cell, find_columns, sentences, shown
from pipeline.data.readers.tag_schemes import PLAIN
from pipeline.errors import DataError

EARLIER = (".conll", ".txt", ".tsv", ".bio", ".iob2", ".iob")
SUFFIXES = (*EARLIER, ".conllu", ".conllup", ".bmes")
TABLES = (".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
WORD_LISTS = ("tokens", "words", "token", "word")
TAG_LISTS = ("ner_tags", "tags", "labels", "ner", "upos", "pos_tags", "pos", "xpos", "chunk_tags")
MAX_TAGS = 100  # more different ones for more than half of the words are not tags

_BRACKETED = re.compile(r"</?([^<>]+)>")


class TaggedFile(NamedTuple):
    """The sentences of a file, and the scheme of their tags, such as ``IOB2`` or ``plain tags``."""

    examples: tuple[TaggedExample, ...]
    scheme: str


class TaggedReader(Reader[TaggedExample]):
    """Read tagged words in columns, or in the lists of a table."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of files in columns, and of tables whose cells can be lists."""
        packed = tuple(suffix + packed for suffix in (*SUFFIXES, *JSON) for packed in COMPRESSIONS)
        return (*SUFFIXES, *TABLES, *packed)

    def earlier_suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of files in columns that earlier versions read."""
        return EARLIER

    def read(self, config: DataConfig, *, seed: int) -> Splits[TaggedExample]:
        """Read and split a data set; see :meth:`Reader.read`. The columns of the train file are those of the folder."""
        return super().read(self._with_columns(config), seed=seed)

    def _with_columns(self, config: DataConfig) -> DataConfig:
        """Choose the columns of the train file, if another file of the same layout would be read from other ones."""
        folder = Path(from_written(config.path))
        if config.word_column or config.tag_column or not config.path or not folder.is_dir():
            return config
        found = [path for part in ("train", "dev", "test")
                 for path in find_files(folder, part, self.suffixes(config), self.earlier_suffixes(config))]
        if len(found) < 2 or any(format_suffix(path) in TABLES for path in found):
            return config
        layouts = [find_columns(path, lines_of(read_text(path, config.encoding))) for path in found]
        train = layouts[0]
        alike = all((one.n_columns, one.numbered) == (train.n_columns, train.numbered) for one in layouts)
        if not alike or all((one.word, one.tag) == (train.word, train.tag) for one in layouts):
            return config
        word, tag = (index + 1 if index >= 0 else index for index in (train.word, train.tag))
        return replace(config, word_column=word, tag_column=tag)

    def read_file(self, path: Path, config: DataConfig) -> tuple[TaggedExample, ...]:
        """Read one file and keep its tags; see :meth:`read_tagged`."""
        return self.read_tagged(path, config).examples

    def read_tagged(self, path: Path, config: DataConfig) -> TaggedFile:
        """Read one file and report its columns and the scheme of its tags.

        Columns are separated by tabs, or by spaces if fewer than half of the lines have a tab. Comments and lines
        ``-DOCSTART-`` are skipped. A row of a table has a list of words and one of tags.

        Raises:
            DataError: if the file is missing, cannot be decoded or has no sentence, a line has no tag, or a tag belongs
                to none of the schemes; the message names the line.
        """
        if format_suffix(path) in TABLES:
            return _read_table(path, config)
        lines = lines_of(read_text(path, config.encoding))
        columns = find_columns(path, lines, str(config.word_column), str(config.tag_column))
        divided = list(sentences(path, lines, columns))
        examples = [_example(path, sentence, columns) for sentence in divided]
        if not examples:
            raise DataError(f"{path}: the file has no tagged words; a line is a word, a tab and its tag")
        places = [[line.number for line in sentence] for sentence in divided]
        file = in_one_scheme(path, examples, places)
        if file.scheme == PLAIN:
            _require_regular(path, divided, columns)
        _report(path, columns, file.scheme)
        return file

    def example(self, text: str, context: str) -> TaggedExample:
        """Make an example of a text whose words are separated by spaces."""
        return TaggedExample(tuple(text.split()), (), "the given text")

    def texts(self, examples: Sequence[TaggedExample]) -> list[Text]:
        """Return the words of each sentence."""
        return [without_brackets(example.words) for example in examples]


def without_brackets(words: Sequence[str]) -> tuple[str, ...]:
    """Remove the brackets of words such as ``<unk>``, which would otherwise be read as special tokens."""
    return tuple(match[1] if (match := _BRACKETED.fullmatch(word)) else word for word in words)


def in_one_scheme(path: Path, examples: Sequence[TaggedExample], lines: Sequence[Sequence[int]]) -> TaggedFile:
    """Find the scheme of the tags of a file.

    Args:
        path: the file, for messages.
        examples: its sentences; letters of a scheme without a type get one.
        lines: the number of the line of each word.

    Raises:
        DataError: if a tag belongs to another scheme than the others, or a word has no tag; the message names the line.
    """
    counts = Counter(tag for example in examples for tag in example.tags)
    if tag_schemes.has_only_letters(counts):
        examples = [replace(one, tags=tuple(map(tag_schemes.with_type, one.tags))) for one in examples]
    elif set(counts) != {tag_schemes.OUTSIDE} and not (
            tag_schemes.has_chunk_tags(counts) and tag_schemes.types_of(counts)):
        for example, numbers in zip(examples, lines, strict=True):
            for word, tag, number in zip(example.words, example.tags, numbers, strict=True):
                if not tag:
                    raise DataError(f"{path}:{number}: the word {word!r} has no tag")
        return TaggedFile(tuple(examples), PLAIN)
    letters: set[str] = set()
    for example, numbers in zip(examples, lines, strict=True):
        for tag, number in zip(example.tags, numbers, strict=True):
            if not tag_schemes.CHUNK_TAG.fullmatch(tag):
                raise DataError(f"{path}:{number}: the tag {tag!r} belongs to no known scheme; tags of chunks are "
                                f"{tag_schemes.CHUNK_TAGS}")
            if tag[0] not in letters:
                letters.add(tag[0])
                if why := tag_schemes.conflict(letters):
                    raise DataError(f"{path}:{number}: the tag {tag!r} and earlier tags belong to different schemes "
                                    f"({why}); use one scheme in a file")
    return TaggedFile(tuple(examples), tag_schemes.scheme_of([example.tags for example in examples]))


def _read_table(path: Path, config: DataConfig) -> TaggedFile:
    """Read a table with a list of words and one of tags in each row."""
    table = read_rows(path, config)
    word = find_column(table, path, str(config.word_column), WORD_LISTS, "word_column")
    tag = find_column(table, path, str(config.tag_column), TAG_LISTS, "tag_column")
    examples, lines = [], []
    has_numbers = False
    for row in table:
        words, tags = (_list(row, column) for column in (word, tag))
        if not words and not tags:
            findings.current().leave_out("empty (left out)", row.where)
            continue
        if len(words) != len(tags):
            raise DataError(f"{row.where}: {len(words)} words in {word!r}, but {len(tags)} tags in {tag!r}")
        has_numbers = has_numbers or any(isinstance(one, int) for one in tags)
        examples.append(TaggedExample(
            tuple(cells.as_text(one, row.where, word) for one in words),
            tuple(cells.as_text(one, row.where, tag).strip() for one in tags), row.where))
        lines.append([row.line] * len(words))
    if not examples:
        raise DataError(f"{path}: the file has no tagged words")
    file = in_one_scheme(path, examples, lines)
    findings.current().note(f"{path}: words from {word!r}, tags from {tag!r}; scheme of the tags: {file.scheme}")
    if has_numbers:
        findings.current().warn(f"{path}: the tags in {tag!r} are numbers, and the file does not name them; the "
                                "numbers are used as plain tags")
    return file


def _list(row: Row, column: str) -> list[Any]:
    value = row.get(column)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{row.where}: {column!r} is not a list ({cells.shown(value)}); expected a list of words and "
                        "one of as many tags; choose other columns with "
                        f"{argument('word_column')} and {argument('tag_column')}")
    return value


def _example(path: Path, sentence: Sequence[Line], columns: Columns) -> TaggedExample:
    words, tags = [], []
    for line in sentence:
        word, tag = cell(line, columns.word), cell(line, columns.tag)
        same = columns.word % len(line.cells) == columns.tag % len(line.cells)
        if not word or tag is None or same:
            usual = (columns.word, columns.tag) == (0, -1)
            expected = "a word and its tag" if usual else (f"a word in {columns.describe(columns.word)} and its tag in "
                                                           f"{columns.describe(columns.tag)}")
            by = "spaces" if columns.separator == " " else "a tab"
            mark = next((mark for mark in ",;" if len(line.cells) == 1 and mark in line.cells[0].strip(mark)), "")
            advice = f". Columns separated by {mark!r} are not read: write tabs, and a blank line after each sentence"
            raise DataError(f"{path}:{line.number}: expected {expected}, separated by {by}; found "
                            f"{shown(line, columns.separator)}{advice if mark else ''}")
        words.append(word)
        tags.append(tag.strip())
    return TaggedExample(tuple(words), tuple(tags), f"{written(path)}:{sentence[0].number}")


def _require_regular(path: Path, divided: Sequence[Sequence[Line]], columns: Columns) -> None:
    """Require that a file of plain tags is one: text is not, nor a table of texts and labels.

    Raises:
        DataError: if a line has another number of columns, most words contain spaces, or there are too many tags.
    """
    lines = [line for sentence in divided for line in sentence]
    for line in lines:
        if len(line.cells) != columns.n_columns:
            raise DataError(f"{path}:{line.number}: {len(line.cells)} columns, but most lines have "
                            f"{columns.n_columns}, a word and its tags; found {shown(line, columns.separator)}")
    if 2 * sum(" " in line.cells[columns.word] for line in lines) > len(lines):
        raise DataError(f"{path}: most words contain spaces, such as {shown(lines[0], columns.separator)}; a line is "
                        "one word and its tag. For whole texts with a label use "
                        f"{argument('task', 'classification')}")
    n_tags = len({line.cells[columns.tag] for line in lines})
    if n_tags > MAX_TAGS and 2 * n_tags > len(lines):
        raise DataError(f"{path}: {columns.describe(columns.tag)} has {n_tags} different values for {len(lines)} "
                        "words, so it is not the tag; choose the column of the tags with "
                        f"{argument('tag_column', 'NUMBER')}, from 1")


def _report(path: Path, columns: Columns, scheme: str) -> None:
    found = findings.current()
    numbered = "; the first column numbers the words" if columns.numbered else ""
    found.note(f"{path}: words from {columns.describe(columns.word)}, tags from {columns.describe(columns.tag)} of "
               f"{columns.n_columns}{numbered}; scheme of the tags: {scheme}")
    for what, (count, first) in columns.notes.items():
        tell = found.warn if what == RESTART else found.note
        tell(f"{path}: {count} {what}; the first is in line {first}")
