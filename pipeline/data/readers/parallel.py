"""Parallel text: two files whose lines correspond, a table with both languages, or a translation memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from embeddings.table.arguments import setting
from embeddings.table.paths import from_written
from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.readers import findings
from pipeline.data.readers.base import PARTS, Reader, find_files
from pipeline.data.readers.cells import as_text
from pipeline.data.readers.columns import usual_column
from pipeline.data.readers.files import COMPRESSIONS, format_suffix, lines_of, read_bytes, read_text
from pipeline.data.readers.rows import Row, Table, listed
from pipeline.data.readers.tables import FIRST, compressed_suffixes, known_suffixes, read_rows
from pipeline.data.readers.tmx import matching, read_tmx
from pipeline.errors import DataError

SOURCE_COLUMNS = ("source", "src")
TARGET_COLUMNS = ("target", "tgt")
TRANSLATION_COLUMNS = ("translation", "translations")  # whose cells have the texts by language
TMX = ".tmx"
N_SAMPLE = 1000  # units of a translation memory whose languages are found

_LANGUAGES = "data.languages=[\"en\", \"de\"]"


class ParallelReader(Reader[TranslationExample]):
    """Read two text files whose lines correspond, such as ``train.en`` and ``train.de``, a table or TMX."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffix of source texts, such as ``.en``, and the suffixes of tables and TMX."""
        own = (*(f".{language}" for language in config.languages[:1]), TMX)
        return (*own, *(suffix + packed for suffix in own for packed in COMPRESSIONS), *_table_suffixes())

    def earlier_suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffix of source texts and those of tables of earlier versions."""
        return (*super().earlier_suffixes(config), *(f".{language}" for language in config.languages))

    def read(self, config: DataConfig, *, seed: int) -> Splits[TranslationExample]:
        """Read and split a data set; see :meth:`Reader.read`."""
        return super().read(replace(config, languages=find_languages(config)), seed=seed)

    def read_file(self, path: Path, config: DataConfig) -> tuple[TranslationExample, ...]:
        """Read one table or translation memory, or the pair of files to which ``path`` belongs.

        The columns of a table are named after ``config.languages``, or ``source`` and ``target``, or a column
        ``translation`` has objects with the texts by language. Examples that are blank on either side are left out and
        reported.

        Raises:
            DataError: if a file or a column is missing, or the files differ in their number of lines.
        """
        suffix = format_suffix(path)
        read = _read_tmx if suffix == TMX else _read_table if suffix in known_suffixes() else _read_lines
        examples = []
        for example in read(path, config):
            if example.source.strip() and example.target.strip():
                examples.append(example)
            else:
                findings.current().leave_out("blank in one language (left out)", example.where)
        if not examples:
            raise DataError(f"{path}: the file has no text with a translation")
        return tuple(examples)

    def example(self, text: str, context: str) -> TranslationExample:
        """Make an example of a text without a reference translation."""
        return TranslationExample(text, "", "the given text")

    def texts(self, examples: Sequence[TranslationExample]) -> list[Text]:
        """Return the source texts."""
        return [example.source for example in examples]

    def target_texts(self, examples: Sequence[TranslationExample]) -> list[Text]:
        """Return the translations."""
        return [example.target for example in examples]


def find_languages(config: DataConfig) -> tuple[str, ...]:
    """Return the source and target language: those of the configuration, or those that the training files name.

    Returns:
        Two languages in alphabetical order if found (the source language of a translation memory first), or () for a
        table with the columns ``source`` and ``target``.

    Raises:
        DataError: if the files do not have exactly two languages.
    """
    if config.languages:
        return config.languages
    path = Path(from_written(config.path))
    if path.is_dir():
        tmx = (TMX, *(TMX + packed for packed in COMPRESSIONS))
        found = find_files(path, "train", (*_table_suffixes(), *tmx), FIRST)
        return _languages_of(found[0], config) if found else _suffixes(path, PARTS["train"])
    if format_suffix(path) in (TMX, *known_suffixes()):
        return _languages_of(path, config) if path.is_file() else ()
    return _suffixes(path.parent, (_without_language(path).name,)) if path.exists() else ()


def _table_suffixes() -> tuple[str, ...]:
    return (*known_suffixes(), *compressed_suffixes())


def _languages_of(path: Path, config: DataConfig) -> tuple[str, ...]:
    state = path.stat()
    return _languages_in(path, config.encoding, config.separator, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=8)
def _languages_in(path: Path, encoding: str, separator: str, _stamp: tuple[int, int]) -> tuple[str, ...]:
    """Return the languages that a table or a translation memory names."""
    if format_suffix(path) == TMX:
        memory = read_tmx(path, read_bytes(path), encoding, N_SAMPLE)
        if found := memory.pair():
            return found
        known = ", ".join(f"{code} ({count})" for code, count in memory.languages().most_common(20))
        raise DataError(f"{path}: expected texts in two languages, and found {known}; choose two with "
                        f"{setting(_LANGUAGES)}")
    table = read_rows(path, DataConfig(encoding=encoding, separator=separator))
    column = _translation_column(table)
    return _languages_of_objects(table, column, path) if column else ()


def _read_tmx(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    source, target = config.languages or _languages_of(path, config)
    memory = read_tmx(path, read_bytes(path), config.encoding)
    if memory.n_alternatives:
        findings.current().note(f"{path}: {memory.n_alternatives} further variants in a language of their unit are "
                                "ignored")
    known = memory.languages()
    for language in (source, target):
        if not matching(language, known):
            raise DataError(f"{path}: no text in the language {language!r}; the languages are {listed(list(known))}. "
                            f"Choose two with {setting(_LANGUAGES)}")
    findings.current().note(f"{path}: from {source} to {target}")
    for unit in memory.units:
        yield TranslationExample(unit.text(source), unit.text(target), f"{path}:{unit.line}")


def _read_table(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    table = read_rows(path, config)
    if column := _translation_column(table):
        source, target = config.languages or _languages_of_objects(table, column, path)
        findings.current().note(f"{path}: from {source} to {target}")
        for row in table:
            texts = _by_language(row, column)
            yield TranslationExample(_text(texts, source, row), _text(texts, target, row), row.where)
        return
    source, target = _columns(table.columns, path, config)
    for row in table:
        yield TranslationExample(row.text(source), row.text(target), row.where)


def _columns(columns: Sequence[str], path: Path, config: DataConfig) -> tuple[str, str]:
    for names in (config.languages, [usual_column(columns, usual) for usual in (SOURCE_COLUMNS, TARGET_COLUMNS)]):
        if names and set(names) <= set(columns):
            return names[0], names[1]
    raise DataError(f"{path}: the columns are {listed(columns)}; rename two of them to source and target, or choose "
                    f"two with {setting(_LANGUAGES)}")


def _translation_column(table: Table) -> str:
    """Return the column whose cells have the texts by language; "" if there is none."""
    column = usual_column(table.columns, TRANSLATION_COLUMNS)
    return column if column and any(isinstance(row.get(column), dict) for row in table) else ""


def _languages_of_objects(table: Table, column: str, path: Path) -> tuple[str, ...]:
    languages = sorted({language for row in table[:N_SAMPLE] for language in _by_language(row, column)})
    if len(languages) != 2:
        raise DataError(f"{path}: expected texts in two languages in {column!r}, and found {listed(languages)}; choose "
                        f"two with {setting(_LANGUAGES)}")
    return tuple(languages)


def _by_language(row: Row, column: str) -> Mapping[str, Any]:
    """Return the texts of a row by language: those of an object, or of an object with two lists."""
    value = row.get(column)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DataError(f"{row.where}: {column!r} is not an object with the texts by language, such as "
                        '{"en": "...", "de": "..."}')
    codes, texts = value.get("language"), value.get(column)
    if isinstance(codes, list) and isinstance(texts, list) and len(codes) == len(texts):
        return {str(code): text for code, text in zip(codes, texts, strict=True)}
    return value


def _text(texts: Mapping[str, Any], language: str, row: Row) -> str:
    return as_text(texts.get(matching(language, texts)), row.where, language)


def _read_lines(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    name = _without_language(path)
    languages = config.languages or _suffixes(path.parent, (name.name,))
    if _uncompressed(path).suffix[1:] not in languages:
        raise DataError(f"{path}: expected a table ({' '.join(known_suffixes())}), {TMX}, or a file with the suffix of "
                        f"a language ({' '.join(languages)})")
    source, target = (_of_language(name, language) for language in languages)
    sources, targets = (lines_of(read_text(file, config.encoding)) for file in (source, target))
    if len(sources) != len(targets):
        sources, targets = _without_last_blanks(sources), _without_last_blanks(targets)
    if len(sources) != len(targets):
        longer, shorter = (source, target) if len(sources) > len(targets) else (target, source)
        first = min(len(sources), len(targets)) + 1
        raise DataError(f"{source} has {len(sources)} lines and {target} has {len(targets)}; line n of the second file "
                        f"must be the translation of line n of the first, and {longer}:{first} has none in {shorter}")
    for number, pair in enumerate(zip(sources, targets, strict=True), start=1):
        yield TranslationExample(*pair, f"{source}:{number}")


def _without_last_blanks(lines: list[str]) -> list[str]:
    n_lines = len(lines)
    while n_lines and not lines[n_lines - 1].strip():
        n_lines -= 1
    return lines[:n_lines]


def _uncompressed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path


def _without_language(path: Path) -> Path:
    return _uncompressed(path).with_suffix("")


def _of_language(name: Path, language: str) -> Path:
    """Return the file of a language, plain or compressed."""
    paths = [name.with_name(f"{name.name}.{language}{packed}") for packed in ("", *COMPRESSIONS)]
    return next((path for path in paths if path.is_file()), paths[0])


def _suffixes(folder: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """Return the two languages of text files with one of the stems; () if there is a table with such a stem."""
    files = [path for stem in stems for path in sorted(folder.iterdir())
             if path.is_file() and _without_language(path).name == stem]
    if any(format_suffix(path) in known_suffixes() for path in files):
        return ()
    suffixes = tuple(sorted({_uncompressed(path).suffix[1:] for path in files}))
    if len(suffixes) != 2:
        raise DataError(f"{folder}: expected two files {stems[0]}.*, one per language, and found {len(suffixes)}"
                        f"{''.join(f' .{suffix}' for suffix in suffixes[:20])}; choose two with {setting(_LANGUAGES)}")
    return suffixes
