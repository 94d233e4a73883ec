"""The written form of paths, which can have any bytes, in files and messages that are UTF-8.

A path of valid UTF-8 is written as it is. Any other, and one that begins like a URI, is written as an absolute
``file://`` URI (RFC 8089) with percent-encoded bytes, such as ``file:///home/me/caf%E9.csv``. Such URIs are accepted
wherever a path is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

URI = "file://"
DESCRIPTORS = Path("/proc/self/fd")  # on Linux: the open files of this process, by number
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it has no surrogates, such as bytes of a path that are not."""
    return text.isascii() or _SURROGATE.search(text) is None


def written(path: str | Path) -> str:
    r"""Return the written form of a path.

    Raises:
        UnicodeEncodeError: if it has surrogates that are not bytes, which no path has.

    Example:
        >>> written(Path("data/reviews.csv")), written("/data/caf\udce9.csv")
        ('data/reviews.csv', 'file:///data/caf%E9.csv')
    """
    text = str(path)
    return text if is_utf8(text) and not text.startswith(URI) else Path(text).absolute().as_uri()


def from_written(text: str) -> str:
    """Return the path of a written form, as a string; it can be an argument of :class:`pathlib.Path`.

    Raises:
        ValueError: if it is a URI of another host, or its path has a null character.

    Example:
        >>> from_written("data/reviews.csv"), from_written("file:///data/reviews%2C2024.csv")
        ('data/reviews.csv', '/data/reviews,2024.csv')
    """
    if not text.startswith(URI):
        return text
    host, slash, rest = text.removeprefix(URI).partition("/")
    if host not in ("", "localhost") or not slash:
        raise ValueError(f"{printable(text)}: the URI of a file begins with file:/// and its absolute path, such as "
                         "file:///home/me/data.csv")
    path = os.fsdecode(unquote_to_bytes(os.fsencode(slash + rest)))
    if "\0" in path:
        raise ValueError(f"{printable(text)}: a path cannot contain a null character")
    return path


def printable(text: str) -> str:
    r"""Return a text in which each byte that is not UTF-8 is shown like ``\xe9``, other surrogates as ``\ud800``."""
    return text if is_utf8(text) else _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Yield a path of valid UTF-8 to an existing file or folder, for libraries that cannot open others.

    It is the path itself or, on Linux, that of an open file descriptor, by which the file can be opened again and
    memory-mapped. It is valid within the block, in all threads of this process.

    Raises:
        OSError: if there is no such file or folder, or it cannot be read.
    """
    if is_utf8(str(path)) or not DESCRIPTORS.is_dir():
        yield path
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield DESCRIPTORS / str(descriptor)
    finally:
        os.close(descriptor)
