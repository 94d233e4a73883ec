"""Texts for training word vectors: lines of text files, and the text columns of tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from embeddings.progress import FractionCallback, ignore_fraction
from embeddings.tokenization.corpus import CorpusFiles
from pipeline.data.config import DataConfig
from pipeline.data.readers.columns import texts_of_table
from pipeline.data.readers.table_content import N_LINES, require_text
from pipeline.data.readers.tables import is_table


@dataclass(frozen=True)
class TextCorpus(CorpusFiles):
    """The texts of files and folders of them: of tables the column of the text, of other files the lines.

    Args:
        paths: files, or folders, whose files are read in the order of their names.
        config: columns, separator and encoding of the tables.

    Raises:
        CorpusError: if a path is missing or a folder is empty; while iterating, if a text file cannot be read.
        DataError: while iterating, if a table cannot be read or has no column of texts, or a text file is a table.
    """

    config: DataConfig = field(default_factory=DataConfig)

    def reading(self) -> str:
        """Return the configuration of columns and formats."""
        config = self.config
        return repr((config.text_columns, config.text_b_column, config.separator, config.encoding))

    def lines(self, progress: FractionCallback = ignore_fraction) -> Iterator[str]:
        """Yield the texts; ``progress`` is called with the fraction of the files' bytes that was read, 0 to 1."""
        files = self.files()
        sizes = [path.stat().st_size for path in files]
        n_bytes = max(1, sum(sizes))
        for i, path in enumerate(files):
            before = sum(sizes[:i])
            if is_table(path):
                progress(before / n_bytes)
                yield from texts_of_table(path, self.config)
            else:
                def scaled(fraction: float, before: int = before, size: int = sizes[i]) -> None:
                    progress((before + fraction * size) / n_bytes)

                lines = CorpusFiles((path,), encoding=self.config.encoding).lines(scaled)
                first = list(islice(lines, N_LINES))
                require_text(path, [line.rstrip("\r\n") for line in first])
                yield from chain(first, lines)
