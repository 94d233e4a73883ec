"""Decode text of unknown encoding: byte-order marks, UTF-8, UTF-16 without a mark, then encodings of one language."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import NamedTuple
from unicodedata import category

from embeddings.errors import CorpusError
from embeddings.table.arguments import argument

SAMPLE = 1 << 16
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LEGACY = ("cp1252", "cp1250", "cp1251", "shift_jis", "gb18030", "big5", "euc_kr", "euc_jp", "koi8_r", "cp1253",
          "cp1254", "cp1255", "cp1256")
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet (.xlsx, .ods)"), (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip file"), (b"BZh", "a bzip2 file"), (b"\xfd7zXZ\0", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"), (b"\xd0\xcf\x11\xe0", "an old Office file (.xls)"), (b"%PDF", "a PDF file"),
    (b"ARROW1", "an Arrow file"),
)
OTHER_WESTERN = ("mac_roman", "cp850")  # of Excel for Mac, and of MS-DOS
WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœ")
PUNCTUATION = frozenset("\xa0«»¡¿‘’‚“”„–—…€°§ªº")
MIN_CAPITALS = 3    # inside of words, as WINDOWS-1252, of a text in another encoding
MIN_LETTERS = 5     # outside ASCII, of such a text
MIN_WESTERN = 0.98  # share of letters and punctuation among the characters outside ASCII of such a text
MAX_FOREIGN_LETTERS = 0.35  # share of letters outside ASCII above which a text is not in a Western European language

_SYMBOL_IN_WORD = re.compile(r"(?<=[^\W\d_])[¹²³ª¿¡¢£¤¥¦§¨©¬®¯±µ¶¼½¾º÷×](?=[^\W\d_])")
_DIGIT_AT_LETTER = re.compile(r"\d[À-ÿ]|[À-ÿ]\d")
_CAPITAL_IN_WORD = re.compile(r"(?<=[a-z])[À-ÖØ-ÞŠŒŽŸ](?=[a-z])")  # in Mac OS Roman, small letters of WINDOWS-1252
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Decoded:
    """A decoded text.

    Attributes:
        text: the text without a byte-order mark.
        encoding: its encoding, such as ``UTF-8`` or ``WINDOWS-1252``.
        n_broken: number of bytes that are not UTF-8 in a text that otherwise is; each is read as U+FFFD.
        broken_line: line of the first of them, from 1; 0 for none.
    """

    text: str
    encoding: str = "UTF-8"
    n_broken: int = 0
    broken_line: int = 0


class Detected(NamedTuple):
    """The Python name of an encoding, and whether some bytes are broken (UTF-8 only)."""

    codec: str
    has_broken: bool = False


def decode(content: bytes, where: str, encoding: str = "") -> Decoded:
    """Decode a text.

    A byte-order mark decides. Otherwise a text is UTF-8 if it is valid; UTF-16 if every other byte is often null;
    UTF-8 with broken bytes if most of its non-ASCII bytes are valid; WINDOWS-1252, Mac OS Roman or code page 850 if
    that gives words of a Western European language; or else what charset-normalizer detects.

    Args:
        content: the bytes of the whole text.
        where: name of the text for messages.
        encoding: name of the encoding; "" to detect it.

    Raises:
        CorpusError: if it is not text, or not in the given encoding; the message names the line.
    """
    if not encoding:
        try:
            text = content.decode("utf-8-sig")
            if "\0" not in text[:SAMPLE]:
                return Decoded(text)
        except UnicodeDecodeError:
            pass
    codec, has_broken = Detected(_known(encoding, where)) if encoding else detect(content, where)
    try:
        if not has_broken:
            return Decoded(content.decode("utf-8-sig" if codec == "utf-8" else codec), displayed(codec))
    except (UnicodeDecodeError, UnicodeError) as error:
        start = getattr(error, "start", 0)
        line = _line(content, start, codec)
        found = "" if encoding else " (detected)"
        raise CorpusError(f"{where}:{line}: not {displayed(codec)}{found}: byte 0x{content[start]:02x} at position "
                          f"{start}; name the right encoding with {argument('encoding', 'NAME')}") from error
    text = content.decode("utf-8-sig", "replace")
    n_broken = text.count("\ufffd") - content.count(b"\xef\xbf\xbd")
    return Decoded(text, "UTF-8", n_broken, content.count(b"\n", 0, first_broken_byte(content) or 0) + 1)


def detect(content: bytes, where: str) -> Detected:
    """Detect the encoding of a text, or of a sample from its start that ends at the end of a line.

    Returns:
        The Python name of the encoding; ``utf-8`` with or without a byte-order mark.

    Raises:
        CorpusError: if it is not text, or its encoding cannot be determined.
    """
    for mark, codec in MARKS:
        if content.startswith(mark):
            return Detected(codec, codec == "utf-8" and first_broken_byte(content) is not None)
    signature = next((kind for magic, kind in SIGNATURES if content.startswith(magic)), "")
    if signature:
        raise CorpusError(f"{where}: not text but {signature}")
    if codec := _utf16_without_mark(content):
        return Detected(codec)
    broken = first_broken_byte(content)
    if broken is None:
        return Detected("utf-8")
    if b"\0" in content[:SAMPLE] or len(_CONTROL.findall(content[:SAMPLE].decode("latin-1"))) > len(content) // 50:
        raise CorpusError(f"{where}:{content.count(10, 0, broken) + 1}: not text (byte 0x{content[broken]:02x} and "
                          "control characters); name a text file, or its encoding with "
                          f"{argument('encoding', 'NAME')}")
    text = content.decode("utf-8", "replace")
    n_broken = text.count("\ufffd") - content.count(b"\xef\xbf\xbd")
    n_characters = len(text) - len(content.translate(None, bytes(range(128, 256)))) - n_broken
    if n_characters >= n_broken:
        return Detected("utf-8", has_broken=True)
    return Detected(_legacy(content, broken, where))


def first_broken_byte(content: bytes) -> int | None:
    """Return the position of the first byte that is not UTF-8; None if all are."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def displayed(codec: str) -> str:
    """Return the usual name of a Python codec, such as ``WINDOWS-1252`` for ``cp1252``."""
    name = codecs.lookup(codec).name
    return re.sub(r"^CP(125\d)$", r"WINDOWS-\1", name.upper().replace("_", "-").replace("-SIG", ""))


def _known(encoding: str, where: str) -> str:
    try:
        info = codecs.lookup(encoding)
        "a".encode(info.name)  # refuses codecs that are not of text, such as base64
    except (LookupError, ValueError) as error:
        raise CorpusError(f"{where}: no encoding is called {encoding!r}; examples are utf-8, utf-16, windows-1252 and "
                          "shift_jis") from error
    return info.name


def _utf16_without_mark(content: bytes) -> str:
    """Return the codec of UTF-16 without a byte-order mark, found by the null bytes of its ASCII characters."""
    sample = content[:SAMPLE]
    if len(content) % 2 or sample.count(0) < max(2, len(sample) // 100):
        return ""
    scores = {codec: _plausible(sample.decode(codec, "replace")) for codec in ("utf-16-le", "utf-16-be")}
    codec = max(scores, key=lambda name: scores[name])
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return ""
    return codec if scores[codec] > 0 else ""


def _plausible(text: str) -> int:
    """Return the number of ASCII characters of a text; 0 if more than 1% of all characters are not used in texts."""
    strange = sum(category(character) in ("Cn", "Co", "Cs", "Cc") and character not in "\t\r\n" for character in text)
    return 0 if strange * 100 > len(text) else sum(character.isascii() for character in text)


def _legacy(content: bytes, broken: int, where: str) -> str:
    """Return the encoding of a text that is neither UTF-8 nor UTF-16."""
    sample = _lines_outside_ascii(content, broken)
    try:
        western = sample.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    n_capitals = len(_CAPITAL_IN_WORD.findall(western))
    n_foreign = sum(character > "\x7f" and character.isalpha() for character in western)
    is_likely = n_capitals < MIN_CAPITALS or 4 * n_capitals < n_foreign
    if western and _is_western(western) and not _SYMBOL_IN_WORD.search(western) and is_likely:
        return "cp1252"
    for codec in OTHER_WESTERN:
        text = sample.decode(codec)
        outside = [character for character in text if character > "\x7f"]
        n_known = sum(character in WESTERN or character in PUNCTUATION for character in outside)
        if (_is_western(text) and n_known >= MIN_WESTERN * len(outside) and not _CAPITAL_IN_WORD.search(text)
                and sum(character in WESTERN for character in outside) >= MIN_LETTERS
                and not _SYMBOL_IN_WORD.search(text) and not _DIGIT_AT_LETTER.search(text)):
            return codec
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=list(LEGACY)).best()
    if best is None:
        line = content.count(b"\n", 0, broken) + 1
        raise CorpusError(f"{where}:{line}: not UTF-8 (byte 0x{content[broken]:02x}), and the encoding cannot be "
                          f"detected; name it with {argument('encoding', 'NAME')}, such as windows-1252")
    return best.encoding


def _is_western(text: str) -> bool:
    """Whether few enough letters are outside ASCII for a Western European language."""
    letters = [character for character in text if character.isalpha()]
    return sum(character > "\x7f" for character in letters) <= MAX_FOREIGN_LETTERS * max(len(letters), 3)


def _lines_outside_ascii(content: bytes, start: int) -> bytes:
    """Return up to ``SAMPLE`` bytes of lines with bytes outside ASCII."""
    lines: list[bytes] = []
    size = 0
    at = content.rfind(b"\n", 0, start) + 1
    for line in content[at : at + 64 * SAMPLE].split(b"\n"):
        if not line.isascii():
            lines.append(line[:SAMPLE])
            size += len(line)
            if size >= SAMPLE:
                break
    return b"\n".join(lines)


def _line(content: bytes, position: int, codec: str) -> int:
    return content[:position].decode(codec, "replace").count("\n") + 1
