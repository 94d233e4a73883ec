"""Texts and their translations: two files of lines that belong together, or two columns of a table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.readers.columns import usual_column
from pipeline.data.readers.splits import PARTS, Kind, read_parts
from pipeline.data.readers.tables import known_suffixes, lines_of, read_rows, read_text
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

SOURCE_COLUMNS = ("source", "src")
TARGET_COLUMNS = ("target", "tgt")

_OPTION = "--set 'data.languages=[\"en\", \"de\"]'"


def read_parallel(config: DataConfig, *, seed: int) -> Splits[TranslationExample]:
    """Read and cut a data set: a folder with train/dev/test files, or one file (or pair of files).

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    config = replace(config, languages=find_languages(config))
    endings = tuple(f".{language}" for language in config.languages[:1])
    kind = Kind(suffixes=(*endings, *known_suffixes()), read=read_parallel_file, texts=_texts)
    return read_parts(kind, config, seed=seed)


def find_languages(config: DataConfig) -> tuple[str, ...]:
    """The languages to translate from and to: those of the configuration, or the endings of the training files.

    Returns:
        Two, or none if they are not told by the data: a table with the columns ``source`` and ``target``.

    Raises:
        DataError: if there are more or fewer than two.
    """
    if config.languages:
        return config.languages
    path = Path(config.path)
    if path.is_dir():
        return _endings(path, PARTS["train"])
    if path.suffix.lower() in known_suffixes():
        return ()
    return _endings(path.parent, (path.stem,)) if path.exists() else ()


def read_parallel_file(path: Path, config: DataConfig) -> tuple[TranslationExample, ...]:
    """Read one table, or the two files that ``path``, which is one of them, and ``config.languages`` name.

    A table's columns are called as the languages, or ``source`` and ``target``. Examples that are blank on either side
    are left out, and counted in a warning.

    Raises:
        DataError: if a file or a column is missing, or the files differ in their numbers of lines.
    """
    read = _read_table if path.suffix.lower() in known_suffixes() else _read_lines
    examples = tuple(read(path, config))
    whole = tuple(example for example in examples if example.source.strip() and example.target.strip())
    if not whole:
        raise DataError(f"{path}: the file holds no text with its translation")
    if len(whole) < len(examples):
        log.warning("%s: %d of %d lines are left out, which are blank in one of the languages", path,
                    len(examples) - len(whole), len(examples))
    return whole


def _read_table(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    rows = read_rows(path)
    source, target = _columns(list(rows[0].cells), path, config)
    for row in rows:
        yield TranslationExample(row.need(source, path), row.need(target, path), f"{path}:{row.line}")


def _columns(columns: Sequence[str], path: Path, config: DataConfig) -> tuple[str, str]:
    for names in (config.languages, [usual_column(columns, guesses) for guesses in (SOURCE_COLUMNS, TARGET_COLUMNS)]):
        if names and set(names) <= set(columns):
            return names[0], names[1]
    raise DataError(f"{path}: the columns are {', '.join(map(repr, columns))}; call two of them source and target, "
                    f"or say which are meant with {_OPTION}")


def _read_lines(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    languages = config.languages or _endings(path.parent, (path.stem,))
    if path.suffix[1:] not in languages:
        raise DataError(f"{path}: expected a table ({' '.join(known_suffixes())}), or a file whose name ends in one "
                        f"of the languages ({' '.join(languages)})")
    source, target = (path.with_suffix(f".{language}") for language in languages)
    sources, targets = lines_of(read_text(source)), lines_of(read_text(target))
    if len(sources) != len(targets):
        raise DataError(f"{source} has {len(sources)} lines and {target} has {len(targets)}; line n of one must "
                        f"be the translation of line n of the other")
    for number, pair in enumerate(zip(sources, targets, strict=True), start=1):
        yield TranslationExample(*pair, f"{source}:{number}")


def _endings(folder: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """The endings of the files of lines with one of the names; none, if there is a table of that name."""
    files = [path for stem in stems for path in sorted(folder.glob(f"{stem}.*")) if path.is_file()]
    if any(path.suffix.lower() in known_suffixes() for path in files):
        return ()
    endings = tuple(sorted(path.suffix[1:] for path in files))
    if len(endings) != 2:
        raise DataError(f"{folder}: expected two files {stems[0]}.*, one a language, and found {len(endings)}"
                        f"{''.join(f' .{ending}' for ending in endings)}; "
                        f"say which with {_OPTION}")
    return endings


def _texts(examples: Iterable[TranslationExample]) -> list[str]:
    return [example.source for example in examples]
