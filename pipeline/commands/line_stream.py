"""The lines of a stream, in batches as they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from embeddings.tokenization.text_decoding import MARKS, detect
from pipeline.data.readers import findings
from pipeline.data.readers.files import decode_text, lines_of
from pipeline.data.readers.table_content import table_suffix
from pipeline.errors import DataError

AT_ONCE = 2**16        # bytes that are read together at most
MAX_LINE = 64 * 2**20  # bytes
CODECS_OF_LINES = ("utf-8", "cp", "iso8859", "koi8", "mac", "latin", "ascii", "euc", "big5", "shift", "gb", "johab")

_MARKS = tuple(mark for mark, codec in MARKS if codec != "utf-8")


def line_batches(stream: BinaryIO, where: str, encoding: str = "") -> Iterator[list[str]]:
    """Yield the lines of a stream in batches: those that have arrived, without waiting for more.

    The encoding is detected from the first batch with characters outside ASCII. A text in UTF-16 or UTF-32, or with CR
    as the end of its lines, is read to its end first.

    Args:
        stream: the stream.
        where: its name for messages.
        encoding: its encoding; "" to detect it.

    Raises:
        DataError: if it is not text, a table, or has a line that is too long.
    """
    decoder = _Decoder(where, encoding)
    for number, content in enumerate(_whole_lines(stream, where, encoding)):
        text = decoder.decode(content)
        if not number:
            _require_lines(text, where)
        elif not text.endswith("\n"):  # the last line, in which CR is not the end of a line, as in those before
            text = text.removesuffix("\r")
            text += "\n" * bool(text)
        yield lines_of(text)


class _Decoder:
    """Decode the parts of a text, in the encoding of the first part with characters outside ASCII."""

    def __init__(self, where: str, encoding: str) -> None:
        self.where, self.encoding = where, encoding
        self.may_be_broken = self.has_warned = False

    def decode(self, content: bytes) -> str:
        """Decode whole lines; bytes that are not in a detected UTF-8 are U+FFFD, with one warning."""
        with findings.collecting() as found:
            try:
                text = decode_text(content, self.where, self.encoding)
            except DataError:
                if not self.may_be_broken:
                    raise
                text = content.decode("utf-8", "replace")
                if not self.has_warned:
                    found.warn(f"{self.where}: some bytes are not UTF-8 and read as U+FFFD; name the encoding with "
                               "--encoding NAME")
                self.has_warned = True
        found.log()
        if not self.encoding and not content.isascii():
            self.encoding = detect(content, self.where).codec
            self.may_be_broken = self.encoding == "utf-8"
        return text


def _whole_lines(stream: BinaryIO, where: str, encoding: str) -> Iterator[bytes]:
    """Yield bytes that end with a line; the last ones need not."""
    read = getattr(stream, "read1", stream.read)
    waiting = bytearray()
    is_first = True
    while chunk := read(AT_ONCE):
        waiting += chunk
        if is_first and _must_be_whole(waiting, encoding):
            waiting += stream.read()
            break
        end = waiting.rfind(b"\n", len(waiting) - len(chunk)) + 1
        if is_first and _may_be_table(waiting):
            continue
        if end or (is_first and b"\n" in waiting):
            end = waiting.rfind(b"\n") + 1
            yield bytes(waiting[:end])
            del waiting[:end]
            is_first = False
        elif len(waiting) > MAX_LINE:
            raise DataError(f"{where}: a line of more than {MAX_LINE:,} bytes; texts are separated by line breaks")
    if waiting:
        yield bytes(waiting)


def _must_be_whole(content: bytearray, encoding: str) -> bool:
    """Whether a text cannot be divided at the bytes of line feeds: UTF-16 or UTF-32, or the encoding is unknown."""
    if encoding:
        return not encoding.lower().replace("_", "-").replace("windows", "cp").startswith(CODECS_OF_LINES)
    return content.startswith(_MARKS) or b"\0" in content


def _may_be_table(content: bytearray) -> bool:
    """Whether a first line alone may be the names of the columns of a table, which the second line shows."""
    line, end, rest = content.partition(b"\n")
    text = line.decode("utf-8", "replace")
    return bool(end) and b"\n" not in rest and table_suffix(f"{text}\n{text}\n") in (".csv", ".tsv")


def _require_lines(text: str, where: str) -> None:
    if suffix := table_suffix(text):
        raise DataError(f"{where} is a table, whose columns would be read as one text; write it to a {suffix} "
                        f"file and name that, such as --file texts{suffix}")
