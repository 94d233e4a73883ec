"""Plain text for stage one: streamed from files line by line, and written out once, cut into words, for gensim."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from embeddings.errors import CorpusError
from embeddings.tokenization import WordTokenizer

GZIP_MAGIC = b"\x1f\x8b"
MAX_WORDS_A_LINE = 10_000  # gensim silently drops what a line holds beyond this


def unpacked(file: BufferedReader) -> IO[bytes]:
    """Read a file's bytes, unpacked if its content (not its name) says gzip."""
    zipped = file.peek(2)[:2] == GZIP_MAGIC
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file


@dataclass(frozen=True)
class CorpusFiles:
    """The lines of text files, gzip files and folders of them; read anew at every iteration, never held whole.

    Args:
        paths: files, or folders whose files are all taken, in the order of their names.

    Raises:
        CorpusError: if a path is missing or a folder is empty; while iterating, if a line is not UTF-8 or a gzip file
            is cut off.
    """

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        self.files()

    def files(self) -> list[Path]:
        """The files that are read, in order."""
        files: list[Path] = []
        for path in self.paths:
            if not path.exists():
                raise CorpusError(f"{path}: no such file or folder of text")
            found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            if not found:
                raise CorpusError(f"{path}: the folder holds no file")
            files += found
        return files

    def __iter__(self) -> Iterator[str]:
        for path in self.files():
            number = 0
            try:
                with path.open("rb") as packed, unpacked(packed) as file:
                    for line in file:
                        number += 1
                        yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CorpusError(
                    f"{path}:{number}: not UTF-8 ({error.reason}); convert the file, for instance with iconv"
                ) from error
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise CorpusError(f"{path}:{number + 1}: broken gzip file ({error})") from error


@contextmanager
def tokenized_file(texts: Iterable[str], tokenizer: WordTokenizer) -> Iterator[Path]:
    """Cut the texts into words once, into a temporary file of one text a line that gensim streams from disk.

    Raises:
        CorpusError: if the texts hold no word.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        path = Path(folder) / "words.txt"
        n_words = 0
        with path.open("w", encoding="utf-8") as file:
            for text in texts:
                words = tokenizer.words(text)
                n_words += len(words)
                file.writelines(f"{' '.join(piece)}\n" for piece in _pieces(words))
        if not n_words:
            raise CorpusError("the text to train word vectors on holds no word; give some with --corpus FILES")
        yield path


def _pieces(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), MAX_WORDS_A_LINE):
        yield words[start : start + MAX_WORDS_A_LINE]
