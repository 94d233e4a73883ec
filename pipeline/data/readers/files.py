"""The bytes and the text of a file: decompressed and decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embeddings.compressed_files import SUFFIXES, read_decompressed
from embeddings.errors import EmbeddingError
from embeddings.table.arguments import argument
from embeddings.tokenization.text_decoding import decode
from pipeline.data.readers import findings
from pipeline.errors import DataError

COMPRESSIONS = SUFFIXES


def format_suffix(path: Path) -> str:
    """Return the suffix that names the format, in lower case: ``.csv`` for ``a.CSV`` and ``a.csv.gz``."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSIONS else suffix


def require_file(path: Path) -> None:
    """Require a file, which can be read more than once.

    Raises:
        DataError: if it is missing, a folder or a pipe.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it")
    if path.exists():
        raise DataError(f"{path}: a pipe or device, which is not read; write its content to a file first")
    raise DataError(f"{path}: no such file")


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed if its content is compressed.

    Raises:
        DataError: if it is missing, unreadable, or a broken compressed file.
    """
    require_file(path)
    try:
        return read_decompressed(path)
    except EmbeddingError as error:
        raise DataError(str(error)) from error
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error or "out of memory"
        raise DataError(f"{path}: cannot be read ({reason})") from error


def read_text(path: Path, encoding: str = "") -> str:
    """Read a text file, without its byte-order mark; what is detected is reported to the findings.

    Args:
        path: the file, which may be compressed.
        encoding: its encoding; "" to detect it.

    Raises:
        DataError: if it is missing, not text or not in that encoding; the message names the line.
    """
    return decode_text(read_bytes(path), str(path), encoding)


def decode_text(content: bytes, where: str, encoding: str = "") -> str:
    """Decode a text and remove the byte-order mark; see :func:`embeddings.tokenization.text_decoding.decode`.

    Raises:
        DataError: if it is not text or not in that encoding; the message names the line.
    """
    try:
        decoded = decode(content, where, encoding)
    except EmbeddingError as error:
        raise DataError(str(error)) from error
    if decoded.n_broken:
        findings.current().warn(f"{where}:{decoded.broken_line}: not UTF-8; {decoded.n_broken} such bytes in a text "
                                "that is UTF-8 otherwise are read as U+FFFD; correct the file, or name its encoding "
                                f"with {argument('encoding', 'NAME')}")
    if decoded.encoding != "UTF-8" and not encoding:
        findings.current().note(f"{where}: encoding {decoded.encoding} (detected; "
                                f"{argument('encoding', 'NAME')} sets another)")
    return decoded.text


def iterate_lines(text: str) -> Iterator[str]:
    """Split a text at LF and CRLF only (``str.splitlines`` also splits at characters that may be inside a text).

    A text without any LF, as Excel for Mac writes it, is split at CR.
    """
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end].removesuffix("\r")
        start = end + 1
    if last := text[start:].removesuffix("\r"):
        yield last


def lines_of(text: str) -> list[str]:
    """Return the lines of :func:`iterate_lines`."""
    return list(iterate_lines(text))
