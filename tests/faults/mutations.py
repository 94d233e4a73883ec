"""Damages of files: bytes, lines, JSON values, the members of archives, and names of other formats."""

from __future__ import annotations

import io
import json
import random
import zipfile
from typing import Any

from seeds import COMPRESSED

JUNK = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n\n", b"\t", b'"', b";", b",", b"\x1b[31m", b"\x85",
    "\u2028".encode(), "\u202e".encode(), b"{", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"-1", b"1e999",
    b"NaN", b"null", b"\\ud800", b"x" * 70_000, b" " * 3_000, b"2147483648", b"18446744073709551616", b"\x80" * 9,
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"a" + b",b" * 30_000, b"'", b"\x1f\x8b\x08", b"PK\x03\x04", b"BZh9",
)
VALUES: tuple[Any, ...] = (None, True, 0, -1, 10**30, 1e308, "", "x", "\ud800", [], [[]], {}, {"a": 1}, ["a", 1],
                           [None], float("nan"), "\x1b[2J", 2**31, 2**63)


def mutate(rng: random.Random, suffix: str, content: bytes, others: list[bytes]) -> bytes:
    """Damage a file one to three times."""
    for end, compress in COMPRESSED.items():
        if suffix.endswith(end) and rng.random() < 0.3:
            return compress(_bytes(rng, rng.choice(others), others))
    if content.startswith(b"PK\x03\x04") and rng.random() < 0.6:
        return _member(rng, content, others)
    if suffix in (".json", ".jsonl", ".ndjson") and rng.random() < 0.5:
        return _json(rng, content)
    if suffix not in (".bin", ".npy", ".safetensors") and rng.random() < 0.3:
        return _lines(rng, content)
    return _bytes(rng, content, others)


def _bytes(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3])):
        first, second = sorted(rng.choices(range(len(changed) + 1), k=2))
        what = rng.randrange(9)
        if what == 0:
            del changed[first:second]
        elif what == 1:
            del changed[first:]
        elif what == 2:
            changed[first:first] = rng.choice(JUNK)
        elif what == 3:
            changed[first : first + 4] = rng.randbytes(rng.randint(0, 8))
        elif what == 4:
            changed[second:second] = changed[first:second]
        elif what == 5:
            changed[first:second] = rng.choice(others)[: rng.choice([40, 4_000])]
        elif what == 6 and changed:
            for _ in range(rng.choice([1, 4, 16])):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif what == 7:
            changed[first:second] = bytes(min(second - first, 4096))
        else:
            changed = changed[second:] + changed[first:second] + changed[:first]
    return bytes(changed)


def _lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    for _ in range(rng.choice([1, 2])):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        what = rng.randrange(5)
        if what == 0 and len(lines) > 1:
            del lines[i]
        elif what == 1:
            lines[i], lines[j % len(lines)] = lines[j % len(lines)], lines[i]
        elif what == 2:
            lines[i] = b"\t".join(lines[i].split(b"\t")[::-1])
        elif what == 3:
            lines.insert(i, lines[j % len(lines)] * 2)
        else:
            lines[i] = rng.choice(JUNK)
    return b"\n".join(lines)


def _json(rng: random.Random, content: bytes) -> bytes:
    """Replace a value, or a key, somewhere in a document."""
    try:
        text = content.decode()
        documents = [json.loads(text)] if text.lstrip()[:1] == "[" or "\n" not in text.strip() else [
            json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return content + rng.choice(JUNK)
    i = rng.randrange(len(documents)) if documents else 0
    if documents:
        documents[i] = _replaced(rng, documents[i])
    return "\n".join(map(json.dumps, documents)).encode()


def _replaced(rng: random.Random, value: Any) -> Any:
    if rng.random() < 0.2 or not isinstance(value, dict | list) or not value:
        return rng.choice(VALUES)
    if isinstance(value, list):
        i = rng.randrange(len(value))
        return [*value[:i], _replaced(rng, value[i]), *value[i + 1 :]]
    key = rng.choice(list(value))
    rest = {name: one for name, one in value.items() if name != key}
    if rng.random() < 0.2:
        return rest | ({key.upper(): value[key]} if rng.random() < 0.5 else {})
    return {**value, key: _replaced(rng, value[key])}


def _member(rng: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """Damage a member of a zip archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        names = archive.namelist()
        chosen = rng.choice(names) if names else ""
        for name in names:
            if name != chosen or rng.random() < 0.9:
                inner = archive.read(name)
                new.writestr(name, _bytes(rng, inner, others) if name == chosen else inner)
    return packed.getvalue()
