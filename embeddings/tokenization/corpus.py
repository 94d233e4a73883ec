"""Plain text for stage one: streamed from files line by line, and written out once, cut into words, for gensim."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from embeddings.compressed_files import decompressed
from embeddings.errors import CorpusError
from embeddings.tokenization.tokenizer import Text, WordTokenizer

MAX_WORDS_A_LINE = 10_000  # gensim silently drops what a line holds beyond this
MAX_BYTES_A_LINE = 1 << 20  # some corpora are one line, and memory is to stay flat
TEXTS_A_TELLING = 2048

Tell = Callable[[float], None]


def _untold(_share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class CorpusFiles:
    """The lines of text files, gzip files and folders of them; read anew at every iteration, never held whole.

    A line of more than a megabyte is given in parts, cut at spaces.

    Args:
        paths: files, or folders whose files are all taken, in the order of their names.

    Raises:
        CorpusError: if a path is missing or a folder is empty; while iterating, if a file cannot be read, a line is not
            UTF-8 or a gzip file is cut off.
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
        return self.lines()

    def lines(self, tell: Tell = _untold) -> Iterator[str]:
        """The lines; ``tell`` is told now and then the share of the files' bytes that was read, 0 to 1."""
        files = self.files()
        sizes = [path.stat().st_size for path in files]
        n_bytes = max(1, sum(sizes))
        for i, path in enumerate(files):
            yield from _lines(path, sum(sizes[:i]) / n_bytes, n_bytes, tell)


def _lines(path: Path, before: float, n_bytes: int, tell: Tell) -> Iterator[str]:
    number = 0
    try:
        with path.open("rb") as packed, decompressed(packed) as file:
            for line in _parts(file):
                if not number % TEXTS_A_TELLING:
                    tell(before + packed.tell() / n_bytes)
                yield line.decode("utf-8")
                number += line.endswith(b"\n")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}:{number + 1}: not UTF-8 ({error.reason}); convert the file, for instance with iconv"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorpusError(f"{path}:{number + 1}: broken gzip file ({error})") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; one that is too long in parts that end where a word does."""
    rest = b""
    while read := file.readline(MAX_BYTES_A_LINE):
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
    """Text that was cut into words, in the file that gensim reads.

    Attributes:
        path: UTF-8, words with spaces between them, of one text a line.
        counts: how often each word stands in it, in the order in which they first appear.
        n_lines: how many lines it has.
    """

    path: Path
    counts: Counter[str]
    n_lines: int


@contextmanager
def tokenized_file(texts: Iterable[Text], tokenizer: WordTokenizer, tell: Tell = _untold) -> Iterator[TokenizedText]:
    """Cut the texts into words once, into a temporary file that gensim streams from disk.

    Should the work on it be broken off, the file is emptied: gensim's threads, which nothing else can stop, then find
    its end.

    Args:
        texts: read once.
        tokenizer: cuts them.
        tell: told now and then the share of the texts that was cut, 0 to 1.

    Raises:
        CorpusError: if the texts hold no word, or the temporary folder has no room for them.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        made = _write(Path(folder) / "words.txt", _told(texts, tell), tokenizer)
        if not made.counts:
            raise CorpusError("the text to train word vectors on holds no word; give some with --corpus FILES")
        try:
            yield made
        except BaseException:
            os.truncate(made.path, 0)
            raise


def _write(path: Path, texts: Iterable[Text], tokenizer: WordTokenizer) -> TokenizedText:
    counts: Counter[str] = Counter()
    n_lines = 0
    try:
        with path.open("w", encoding="utf-8", buffering=MAX_BYTES_A_LINE) as file:
            for text in texts:
                words = tokenizer.words(text)
                counts.update(words)
                for piece in _pieces(words):
                    file.write(f"{' '.join(piece)}\n")
                    n_lines += 1
    except OSError as error:
        raise CorpusError(f"{path.parent}: the text, cut into words, cannot be written there ({error.strerror}); "
                          "name a folder with more room in TMPDIR") from error
    return TokenizedText(path, counts, n_lines)


def _told(texts: Iterable[Text], tell: Tell) -> Iterator[Text]:
    if isinstance(texts, CorpusFiles):
        yield from texts.lines(tell)
        return
    n_texts = len(texts) if isinstance(texts, Sized) else None
    for i, text in enumerate(texts):
        if n_texts and not i % TEXTS_A_TELLING:
            tell(i / n_texts)
        yield text


def _pieces(words: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(words), MAX_WORDS_A_LINE):
        yield words[start : start + MAX_WORDS_A_LINE]
