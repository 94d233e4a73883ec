"""Text corpora: lines streamed from files, and tokenized text in a temporary file for gensim."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from embeddings.compressed_files import decompressed
from embeddings.errors import CompressedFileError, CorpusError
from embeddings.progress import FractionCallback, ignore_fraction
from embeddings.tokenization.tokenizer import Text, WordTokenizer

MAX_WORDS_PER_LINE = 10_000  # gensim silently drops further words of a line
MAX_BYTES_PER_LINE = 1 << 20  # some corpora are a single line; memory has to stay constant
TEXTS_PER_UPDATE = 2048      # texts between two calls of the progress callback


@dataclass(frozen=True)
class CorpusFiles:
    """The lines of text files, gzip files and folders of them; streamed in every iteration.

    Lines of more than 1 MiB are split at spaces.

    Args:
        paths: files, or folders, whose files are read in the order of their names.

    Raises:
        CorpusError: if a path is missing or a folder is empty; while iterating, if a file cannot be read, a line is not
            UTF-8 or a gzip file is truncated.
    """

    paths: tuple[Path, ...]

    def __post_init__(self) -> None:
        self.files()

    def files(self) -> list[Path]:
        """Return the files, in the order of reading."""
        files: list[Path] = []
        for path in self.paths:
            if not path.exists():
                raise CorpusError(f"{path}: no such text file or folder; check the path")
            found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            if not found:
                raise CorpusError(f"{path}: the folder is empty; add text files, or name another")
            files += found
        return files

    def __iter__(self) -> Iterator[str]:
        return self.lines()

    def lines(self, progress: FractionCallback = ignore_fraction) -> Iterator[str]:
        """Yield the lines; ``progress`` is called with the fraction of the files' bytes that was read, 0 to 1."""
        files = self.files()
        sizes = [path.stat().st_size for path in files]
        n_bytes = max(1, sum(sizes))
        for i, path in enumerate(files):
            yield from _lines(path, sum(sizes[:i]) / n_bytes, n_bytes, progress)


def _lines(path: Path, before: float, n_bytes: int, progress: FractionCallback) -> Iterator[str]:
    number = 0
    try:
        with path.open("rb") as packed, decompressed(packed, path) as file:
            for line in _parts(file):
                if not number % TEXTS_PER_UPDATE:
                    progress(before + packed.tell() / n_bytes)
                yield line.decode("utf-8")
                number += line.endswith(b"\n")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number + 1}: not UTF-8 ({error.reason}); convert the file, for instance with iconv"
        ) from error
    except CompressedFileError as error:
        raise CorpusError(f"{path}:{number + 1}: {str(error).removeprefix(f'{path}: ')}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of a file; long lines in parts that end at a space."""
    rest = b""
    while read := file.readline(MAX_BYTES_PER_LINE):
        rest += read
        if not read.endswith(b"\n"):
            part, space, rest = rest.rpartition(b" ")
            if space:
                yield part
        else:
            yield rest
            rest = b""
    if rest:
        yield rest


class TokenizedText(NamedTuple):
    """Tokenized text in a file for gensim.

    Attributes:
        path: UTF-8, one text per line, words separated by spaces.
        counts: count of each word, in order of first occurrence.
        n_lines: number of lines.
    """

    path: Path
    counts: Counter[str]
    n_lines: int


@contextmanager
def tokenized_file(
    texts: Iterable[Text], tokenizer: WordTokenizer, progress: FractionCallback = ignore_fraction
) -> Iterator[TokenizedText]:
    """Tokenize the texts into a temporary file, which gensim streams from disk.

    If the training is interrupted, the file is truncated: this is the only way to stop gensim's threads.

    Args:
        texts: read once.
        tokenizer: splits them into words.
        progress: called with the completed fraction of the texts.

    Raises:
        CorpusError: if the texts contain no word, or do not fit into the temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        tokenized = _write(Path(folder) / "words.txt", _with_progress(texts, progress), tokenizer)
        if not tokenized.counts:
            raise CorpusError("the training text of the word vectors contains no word; name more text with "
                              "--corpus FILES")
        try:
            yield tokenized
        except BaseException:
            os.truncate(tokenized.path, 0)
            raise


def _write(path: Path, texts: Iterable[Text], tokenizer: WordTokenizer) -> TokenizedText:
    counts: Counter[str] = Counter()
    n_lines = 0
    try:
        with path.open("w", encoding="utf-8", buffering=MAX_BYTES_PER_LINE) as file:
            for text in texts:
                words = tokenizer.words(text)
                counts.update(words)
                for piece in _pieces(words):
                    file.write(f"{' '.join(piece)}\n")
                    n_lines += 1
    except OSError as error:
        raise CorpusError(f"{path.parent}: the tokenized text cannot be written there ({error.strerror}); "
                          "set TMPDIR to a folder with more space") from error
    return TokenizedText(path, counts, n_lines)


def _with_progress(texts: Iterable[Text], progress: FractionCallback) -> Iterator[Text]:
    if isinstance(texts, CorpusFiles):
        yield from texts.lines(progress)
        return
    n_texts = len(texts) if isinstance(texts, Sized) else None
    for i, text in enumerate(texts):
        if n_texts and not i % TEXTS_PER_UPDATE:
            progress(i / n_texts)
        yield text


def _pieces(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), MAX_WORDS_PER_LINE):
        yield words[start : start + MAX_WORDS_PER_LINE]
