"""Sizes of the splits of a data set, and a hash of their content."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cache
from typing import Any

from pipeline.data.examples import AnyExample, Splits


def part_sizes(splits: Splits[Any]) -> dict[str, int]:
    """Return the number of examples of each part, and of unlabelled texts."""
    return {part: len(getattr(splits, part)) for part in ("train", "dev", "test", "unlabelled")}


def data_hash(splits: Splits[Any]) -> str:
    """Return the SHA-256 of all examples with their parts, but without their places, and of all unlabelled texts."""
    digest = hashlib.sha256()
    for part in ("train", "dev", "test"):
        for example in getattr(splits, part):
            digest.update(f"{part}\0{_content(example)}\0".encode(errors="backslashreplace"))
    for text in splits.unlabelled:
        joined = text if isinstance(text, str) else " ".join(text)
        digest.update(f"unlabelled\0{joined}\0".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _content(example: AnyExample) -> list[Any]:
    return [getattr(example, name) for name in _names(type(example))]


@cache
def _names(example: type[Any]) -> list[str]:
    return [one.name for one in fields(example) if one.name != "where"]
