"""Running text, one example per line: training data of language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embeddings.errors import CorpusError
from embeddings.tokenization.corpus import CorpusFiles
from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.readers.base import Reader
from pipeline.errors import DataError


class LineReader(Reader[Example]):
    """Read text files, plain or gzip.

    The lines are one text: splits keep their order, ``limit_train`` takes the first lines, and equal lines may be on
    both sides of a split.
    """

    in_order = True

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of text files."""
        return (".txt", ".txt.gz")

    def read_file(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read the non-blank lines of a UTF-8 file.

        Raises:
            DataError: if the file is missing, damaged, not UTF-8 or blank.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        try:
            numbered = [(number, line.removeprefix("\ufeff").rstrip("\r\n")) for number, line in
                        enumerate(CorpusFiles((path,)), start=1)]
        except CorpusError as error:
            raise DataError(str(error)) from error
        examples = tuple(Example(line, "", f"{path}:{number}") for number, line in numbered if line.strip())
        if not examples:
            raise DataError(f"{path}: the file has no text")
        return examples

    def example(self, text: str, context: str) -> Example:
        """Make an example of one line."""
        return Example(text, "", "the given text")

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """Return the lines."""
        return [example.text for example in examples]
