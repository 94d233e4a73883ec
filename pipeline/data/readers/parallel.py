"""Parallel text: two files whose lines correspond, or two columns of a table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import Splits, TranslationExample
from pipeline.data.readers.base import PARTS, Reader
from pipeline.data.readers.columns import usual_column
from pipeline.data.readers.tables import known_suffixes, lines_of, read_rows, read_text
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

SOURCE_COLUMNS = ("source", "src")
TARGET_COLUMNS = ("target", "tgt")

_OPTION = "--set 'data.languages=[\"en\", \"de\"]'"


class ParallelReader(Reader[TranslationExample]):
    """Read two text files whose lines correspond, such as ``train.en`` and ``train.de``, or a table of two columns."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffix of source texts, such as ``.en``, and the suffixes of tables."""
        return (*(f".{language}" for language in config.languages[:1]), *known_suffixes())

    def read(self, config: DataConfig, *, seed: int) -> Splits[TranslationExample]:
        """Read and split a data set; see :meth:`Reader.read`."""
        return super().read(replace(config, languages=find_languages(config)), seed=seed)

    def read_file(self, path: Path, config: DataConfig) -> tuple[TranslationExample, ...]:
        """Read one table, or the pair of files to which ``path`` belongs.

        The columns of a table are named after ``config.languages``, or ``source`` and ``target``. Examples that are
        blank on either side are left out with a warning.

        Raises:
            DataError: if a file or a column is missing, or the files differ in their number of lines.
        """
        read = _read_table if path.suffix.lower() in known_suffixes() else _read_lines
        examples = tuple(read(path, config))
        complete = tuple(example for example in examples if example.source.strip() and example.target.strip())
        if not complete:
            raise DataError(f"{path}: the file has no text with a translation")
        if len(complete) < len(examples):
            log.warning("%s: %d of %d lines are left out because one language is blank", path,
                        len(examples) - len(complete), len(examples))
        return complete

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
    """Return the source and target language: those of the configuration, or the suffixes of the training files.

    Returns:
        Two languages in alphabetical order if found, or () for a table with the columns ``source`` and ``target``.

    Raises:
        DataError: if the files do not have exactly two suffixes.
    """
    if config.languages:
        return config.languages
    path = Path(config.path)
    if path.is_dir():
        return _suffixes(path, PARTS["train"])
    if path.suffix.lower() in known_suffixes():
        return ()
    return _suffixes(path.parent, (path.stem,)) if path.exists() else ()


def _read_table(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    rows = read_rows(path, config)
    source, target = _columns(rows.columns, path, config)
    for row in rows:
        yield TranslationExample(row.text(source), row.text(target), f"{path}:{row.line}")


def _columns(columns: Sequence[str], path: Path, config: DataConfig) -> tuple[str, str]:
    for names in (config.languages, [usual_column(columns, usual) for usual in (SOURCE_COLUMNS, TARGET_COLUMNS)]):
        if names and set(names) <= set(columns):
            return names[0], names[1]
    raise DataError(f"{path}: the columns are {', '.join(map(repr, columns))}; rename two of them to source and "
                    f"target, or choose two with {_OPTION}")


def _read_lines(path: Path, config: DataConfig) -> Iterator[TranslationExample]:
    languages = config.languages or _suffixes(path.parent, (path.stem,))
    if path.suffix[1:] not in languages:
        raise DataError(f"{path}: expected a table ({' '.join(known_suffixes())}), or a file with the suffix of a "
                        f"language ({' '.join(languages)})")
    source, target = (path.with_suffix(f".{language}") for language in languages)
    sources, targets = lines_of(read_text(source)), lines_of(read_text(target))
    if len(sources) != len(targets):
        raise DataError(f"{source} has {len(sources)} lines and {target} has {len(targets)}; line n of the "
                        "second file must be the translation of line n of the first")
    for number, pair in enumerate(zip(sources, targets, strict=True), start=1):
        yield TranslationExample(*pair, f"{source}:{number}")


def _suffixes(folder: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """Return the two suffixes of text files with one of the stems; () if there is a table with such a stem."""
    files = [path for stem in stems for path in sorted(folder.glob(f"{stem}.*")) if path.is_file()]
    if any(path.suffix.lower() in known_suffixes() for path in files):
        return ()
    suffixes = tuple(sorted(path.suffix[1:] for path in files))
    if len(suffixes) != 2:
        raise DataError(f"{folder}: expected two files {stems[0]}.*, one per language, and found {len(suffixes)}"
                        f"{''.join(f' .{suffix}' for suffix in suffixes)}; "
                        f"choose two with {_OPTION}")
    return suffixes
