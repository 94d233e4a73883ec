"""Lines of a text file of unknown encoding, decoded as they are streamed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from embeddings.compressed_files import SUFFIXES, refuse_tar
from embeddings.errors import CorpusError
from embeddings.formats.text_encoding import recoded, wide_encoding
from embeddings.table.arguments import argument
from embeddings.tokenization.text_decoding import SIGNATURES, detect, displayed

MAX_BYTES_PER_LINE = 1 << 20  # some corpora are a single line; memory has to stay constant
MAX_UNBROKEN = 1 << 26        # bytes without a space, after which a line is split inside a word
SAMPLE = 1 << 16
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow", ".feather", ".xlsx", ".xls", ".ods")

log = logging.getLogger("vecformer")


def refuse_table(path: Path) -> None:
    """Check that a file is not a table, whose quotes, keys and labels would be read as words.

    Raises:
        CorpusError: if its name has the suffix of a table.
    """
    suffix = Path(path.stem).suffix if path.suffix.lower() in SUFFIXES else path.suffix
    if suffix.lower() in TABLES:
        raise CorpusError(f"{path}: a table, whose labels and other columns would be read as text; use `vecformer "
                          "embed train`, which reads its text column, or write the texts to a .txt file, one per line")


class LineDecoder:
    """Decodes the lines of one file.

    Lines are UTF-8 until one is not. If all lines before it are ASCII, the encoding is detected from there on;
    otherwise broken bytes become U+FFFD. Either is reported as a warning.

    Args:
        path: the file, for messages.
        file: the file, decompressed, at its start.
        encoding: its encoding; "" to detect it.

    Raises:
        CorpusError: if it is not text.
    """

    def __init__(self, path: Path, file: BufferedReader[Any], encoding: str = "") -> None:
        self._path, self._codec, self._is_given = path, encoding or "utf-8", bool(encoding)
        start = file.peek(SAMPLE)[:SAMPLE]
        refuse_tar(start, path)
        kind = next((kind for magic, kind in SIGNATURES if start.startswith(magic) and magic != b"BZh"), "")
        if kind:
            raise CorpusError(f"{path}: not text but {kind}; name text files, with one text per line")
        wide = wide_encoding(start)
        if encoding:
            wide = encoding if _encoded_line_break(encoding, path) != b"\n" else None
        if wide:
            file, self._codec = recoded(file, str(path), wide), "utf-8"
        self.file = file
        self._is_ascii = True
        self._first_broken, self._n_broken = 0, 0

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number of each line, from 1, and the line; long lines in parts."""
        number = 1
        for line in _parts(self.file):
            yield number, self._decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, number)
            number += line.endswith(b"\n")
        if self._n_broken:
            log.warning("%s:%d: not UTF-8; such bytes in %d lines are read as U+FFFD; correct the file",
                        self._path, self._first_broken, self._n_broken)

    def _decode(self, line: bytes, number: int) -> str:
        try:
            text = line.decode(self._codec)
            self._is_ascii = self._is_ascii and line.isascii()
            return text
        except UnicodeDecodeError as error:
            if self._is_given:
                raise CorpusError(f"{self._path}:{number}: not {displayed(self._codec)} ({error.reason}); name the "
                                  f"right encoding with {argument('encoding', 'NAME')}") from error
        if self._codec == "utf-8" and self._is_ascii:
            codec, _ = detect(line + self.file.peek(SAMPLE)[:SAMPLE], f"{self._path}:{number}")
            if codec != "utf-8":
                log.warning("%s: encoding %s (detected)", self._path, displayed(codec))
                self._codec = codec
                return line.decode(codec, "replace")
        self._first_broken = self._first_broken or number
        self._n_broken += 1
        return line.decode(self._codec, "replace")


def _encoded_line_break(encoding: str, path: Path) -> bytes:
    try:
        return "\n".encode(encoding)
    except (LookupError, ValueError) as error:  # unknown, or a codec that is not of text
        raise CorpusError(f"{path}: no encoding is called {encoding!r}; examples are utf-8, utf-16 and "
                          "windows-1252") from error


def _parts(file: BufferedReader[Any]) -> Iterator[bytes]:
    """Yield the lines of a file; long lines in parts that end at a space."""
    rest = b""
    while read := file.readline(MAX_BYTES_PER_LINE):
        rest += read
        if len(read) == MAX_BYTES_PER_LINE and not read.endswith(b"\n"):  # shorter: the last line of the file
            part, space, rest = rest.rpartition(b" ")
            if space:
                yield part
            elif len(rest) > MAX_UNBROKEN:
                end = MAX_UNBROKEN
                while rest[end] & 0xC0 == 0x80 and end > MAX_UNBROKEN - 4:  # inside a character of UTF-8
                    end -= 1
                part, rest = rest[:end], rest[end:]
                yield part
        else:
            yield rest
            rest = b""
    if rest:
        yield rest
