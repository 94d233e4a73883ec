"""Running text, one example per line or per row of a table: training data of language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embeddings.errors import CorpusError
from embeddings.table.paths import written
from embeddings.tokenization.corpus import CorpusFiles
from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.readers.base import PLAIN_TEXT, Reader
from pipeline.data.readers.columns import rows_with_text
from pipeline.data.readers.files import require_file
from pipeline.data.readers.table_content import N_LINES, require_text
from pipeline.data.readers.tables import compressed_suffixes, is_table, known_suffixes, read_rows
from pipeline.errors import DataError


class LineReader(Reader[Example]):
    """Read text files, plain or compressed, or the texts of a table.

    The lines are one text: splits keep their order, ``limit_train`` takes the first lines, and equal lines may be on
    both sides of a split.
    """

    in_order = True

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of text files and tables."""
        return (*PLAIN_TEXT, *known_suffixes(), *compressed_suffixes())

    def earlier_suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of plain and gzip files."""
        return (".txt", ".txt.gz")

    def read_file(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read the non-blank lines of a UTF-8 file, or the texts of a table.

        Raises:
            DataError: if the file is missing, damaged, not UTF-8 or blank, or a table without a column of texts.
        """
        require_file(path)
        if is_table(path):
            rows = rows_with_text(read_rows(path, config), path, config)
            texts = tuple(Example(text, "", row.where) for row, *both in rows for text in both if text)
            if not texts:
                raise DataError(f"{path}: the file has no text")
            return texts
        try:
            numbered = [(number, line.removeprefix("\ufeff").rstrip("\r\n")) for number, line in
                        enumerate(CorpusFiles((path,), encoding=config.encoding), start=1)]
        except CorpusError as error:
            raise DataError(str(error)) from error
        examples = tuple(Example(line, "", f"{written(path)}:{number}") for number, line in numbered if line.strip())
        if not examples:
            raise DataError(f"{path}: the file has no text")
        require_text(path, [example.text for example in examples[:N_LINES]])
        return examples

    def example(self, text: str, context: str) -> Example:
        """Make an example of one line."""
        return Example(text, "", "the given text")

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """Return the lines."""
        return [example.text for example in examples]
