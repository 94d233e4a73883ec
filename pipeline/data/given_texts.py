"""Texts that a program passes: lists, tuples, columns of tables, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from pipeline.errors import TextsError


def checked_texts(texts: Iterable[Any], name: str) -> list[str]:
    """Return texts as a list of strings.

    Args:
        texts: a list, a tuple, a column of a table (pandas ``Series``), a one-dimensional array, or another iterable.
        name: name of the argument, for messages.

    Raises:
        TextsError: if they are one string, a table, a mapping, a set or an array of another shape, or one of them is
            not a string; the message has its position.
    """
    if isinstance(texts, str | bytes):
        raise TextsError(f"{name} must be a list of strings, not one string; write [text]")
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        raise TextsError(f"{name} must be a list of strings, not {type(texts).__name__}; choose one column of texts")
    if isinstance(texts, Set):
        raise TextsError(f"{name} must be a list of strings, not a set, which has no order")
    shape = getattr(texts, "shape", None)
    if isinstance(shape, tuple) and len(shape) != 1:
        kind = "sparse" if hasattr(texts, "tocsr") else f"{len(shape)}-dimensional"
        raise TextsError(f"{name} must be a list of strings, not a {kind} {type(texts).__name__} of shape {shape}; "
                         "pass one column of texts")
    try:
        made = list(texts)
    except TypeError as error:
        raise TextsError(f"{name} must be a list of strings, not of type {type(texts).__name__}") from error
    for position, text in enumerate(made):
        if not isinstance(text, str):
            shown = str(text) if text is None or isinstance(text, float) else f"of type {type(text).__name__}"
            raise TextsError(f"{name}[{position}] is {shown}, not a string; leave it out, or write \"\" for an empty "
                             "text")
    return list(map(str, made))  # numpy's strings are a subclass
