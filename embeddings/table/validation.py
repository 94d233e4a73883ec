"""Validation of the fields of dataclasses by pydantic."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def validated(cls: type[T], values: Any) -> T:
    """Make an instance of a dataclass from unchecked values, such as those of a TOML file.

    Raises:
        pydantic.ValidationError: if a value has another type, or a field is unknown or missing.
    """
    made: T = _adapter(cls).validate_python(values)  # type: ignore[arg-type]
    return made


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    """Return the validator of a class; making it takes tens of milliseconds."""
    return TypeAdapter(cls)
