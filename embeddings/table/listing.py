"""Lists of names, other texts and numbers in messages, of bounded length."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import islice

MAX_NAMES = 20    # names in a message
MAX_LENGTH = 100  # characters of a name


def decimals(value: float) -> str:
    """Format a number with four decimals; a very small or very large one with four digits and its exponent.

    Example:
        >>> decimals(0.25), decimals(-2.5e-9)
        ('0.2500', '-2.500e-09')
    """
    return f"{value:.4f}" if value == 0 or 1e-4 <= abs(value) < 1e7 else f"{value:.3e}"


def listed(
    names: Iterable[object], *, limit: int = MAX_NAMES, separator: str = ", ", form: Callable[[str], str] = str,
) -> str:
    """Join names for a message; of a long list only the first ones, and the number of the others.

    Args:
        names: the names.
        limit: maximum number of names.
        separator: text between two names.
        form: applied to each name after it is shortened, such as ``repr``.

    Example:
        >>> listed("abc"), listed(range(1_000), limit=3)
        ('a, b, c', '0, 1, 2 and 997 more')
    """
    names = names if isinstance(names, Collection) else list(names)
    rest = len(names) - limit
    joined = separator.join(form(shortened(str(name))) for name in islice(names, limit))
    return f"{joined} and {rest:,} more" if rest > 0 else joined


def shortened(text: str, length: int = MAX_LENGTH) -> str:
    """Shorten a text to ``length`` characters by omitting its middle, since names often differ at their end.

    Example:
        >>> shortened("abcdefghij", 5)
        'ab…ij'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1):]}"
