"""Running text, a line an example: what language models learn from."""

from __future__ import annotations

from pathlib import Path

from embeddings.errors import CorpusError
from embeddings.tokenization.corpus import CorpusFiles
from pipeline.config import DataConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.readers.splits import Kind, read_parts
from pipeline.errors import DataError


def read_lines(config: DataConfig, *, seed: int) -> Splits[Example]:
    """Read a folder with train/dev/test files of text, or one file; that is cut in the order of its lines.

    Since a text runs on, ``limit_train`` takes its first lines; the same line may stand on both sides of a cut.

    Raises:
        DataError: if nothing is there, or something in it is not text.
    """
    return read_parts(_KIND, config, seed=seed)


def read_lines_file(path: Path, config: DataConfig) -> tuple[Example, ...]:
    """The lines of a UTF-8 file, gzip or not, that are not blank.

    Raises:
        DataError: if it is missing, broken, not UTF-8, or blank.
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
        raise DataError(f"{path}: the file holds no text")
    return examples


_KIND = Kind(
    suffixes=(".txt", ".txt.gz"),
    read=read_lines_file,
    texts=lambda examples: [example.text for example in examples],
    in_order=True,
)
