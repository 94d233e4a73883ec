"""Checksums inside JSON objects, so that damage to the object itself is found when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON-serialisable values, with the SHA-256 of the others under ``checksum``."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return {**plain, CHECKSUM: _digest(plain)}


def unsealed(values: Any) -> dict[str, Any]:
    """Return the values without their checksum; objects of earlier versions have none.

    Raises:
        ValueError: if the value is not an object, or its checksum is wrong.
    """
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    plain = {key: value for key, value in values.items() if key != CHECKSUM}
    if CHECKSUM in values and values[CHECKSUM] != _digest(plain):
        raise ValueError("its checksum does not match its content")
    return plain


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
