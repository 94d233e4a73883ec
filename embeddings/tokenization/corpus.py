"""Text corpora: lines streamed from files, and tokenized text in a temporary file for gensim."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from embeddings.compressed_files import decompressed
from embeddings.errors import CompressedFileError, CorpusError, VectorFileError
from embeddings.progress import FractionCallback, ignore_fraction
from embeddings.table.arguments import argument
from embeddings.table.atomic_files import temporary_folder
from embeddings.table.memmap import reports_temporary_folder
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.tokenization.line_decoding import MAX_BYTES_PER_LINE, LineDecoder, refuse_table

MAX_WORDS_PER_LINE = 10_000  # gensim silently drops further words of a line
TEXTS_PER_UPDATE = 2048      # texts between two calls of the progress callback


@dataclass(frozen=True)
class CorpusFiles:
    """The lines of text files, plain or compressed, and folders of them; streamed in every iteration.

    Lines of more than 1 MiB are split at spaces. A byte-order mark is passed over. Files that are not UTF-8 are decoded
    (:class:`~embeddings.tokenization.line_decoding.LineDecoder`).

    Args:
        paths: files, or folders, whose files are read in the order of their names.
        encoding: encoding of the files; "" to detect it.

    Raises:
        CorpusError: if a path is missing or a folder is empty; while iterating, if a file cannot be read, is a table or
            another binary file, or a compressed file is truncated.
    """

    paths: tuple[Path, ...]
    encoding: str = field(default="", kw_only=True)

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

    def reading(self) -> str:
        """Return what decides, besides the content of the files, which texts are read."""
        return self.encoding

    def __iter__(self) -> Iterator[str]:
        return self.lines()

    def lines(self, progress: FractionCallback = ignore_fraction) -> Iterator[str]:
        """Yield the lines; ``progress`` is called with the fraction of the files' bytes that was read, 0 to 1."""
        files = self.files()
        for path in files:
            refuse_table(path)
        sizes = [path.stat().st_size for path in files]
        n_bytes = max(1, sum(sizes))
        for i, path in enumerate(files):
            yield from _lines(path, self.encoding, sum(sizes[:i]) / n_bytes, n_bytes, progress)


def _lines(
    path: Path, encoding: str, before: float, n_bytes: int, progress: FractionCallback
) -> Iterator[str]:
    number = 1
    try:
        with path.open("rb") as packed, decompressed(packed, path) as file:
            for i, (number, line) in enumerate(LineDecoder(path, file, encoding).lines()):  # noqa: B007
                if not i % TEXTS_PER_UPDATE:
                    progress(before + packed.tell() / n_bytes)
                yield line
    except VectorFileError as error:  # invalid UTF-16
        raise CorpusError(str(error)) from error
    except CompressedFileError as error:
        raise CorpusError(f"{path}:{number}: {str(error).removeprefix(f'{path}: ')}") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror or error})") from error


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
    texts: Iterable[Text], tokenizer: TextTokenizer, progress: FractionCallback = ignore_fraction
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
    with ExitStack() as stack:
        with reports_temporary_folder():
            folder = stack.enter_context(temporary_folder("text"))
        tokenized = _write(folder / "words.txt", _with_progress(texts, progress), tokenizer)
        if not tokenized.counts:
            raise CorpusError("the training text of the word vectors contains no word; name more text with "
                              f"{argument('corpus', 'FILES')}")
        try:
            yield tokenized
        except BaseException:
            os.truncate(tokenized.path, 0)
            raise


def _write(path: Path, texts: Iterable[Text], tokenizer: TextTokenizer) -> TokenizedText:
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
