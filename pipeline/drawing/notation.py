"""Formatting of measures, differences and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embeddings.table.listing import shortened

BREAKS = re.compile(r"(?<=[ ,+:|/_=])")  # positions at which a name may be wrapped


@dataclass(frozen=True)
class Notation:
    """Number format of a measure: percentages for shares, percentage points for their differences, else plain numbers.

    Attributes:
        measure: name of the measure.
        is_share: its values lie between 0 and 1.
        smaller_is_better: whether a smaller value is better.
    """

    measure: str
    is_share: bool
    smaller_is_better: bool

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Notation:
        """Return the notation of the measure that a summary compares."""
        return cls(summary["measure"], summary["is_share"], summary["smaller_is_better"])

    @property
    def factor(self) -> float:
        """Factor of values on an axis."""
        return 100.0 if self.is_share else 1.0

    @property
    def axis(self) -> str:
        """Label of an axis of values."""
        return self.measure + " (%)" * self.is_share + " (smaller is better)" * self.smaller_is_better

    @property
    def gain_axis(self) -> str:
        """Label of an axis of gains, on which positive values are improvements."""
        change = "reduction of" if self.smaller_is_better else "gain in"
        return f"{change} {self.measure}" + " (percentage points)" * self.is_share

    def value(self, value: float | None) -> str:
        """Format a value; "" for None."""
        return "" if value is None else f"{value:.1%}" if self.is_share else plain(value)

    def size(self, value: float | None) -> str:
        """Format a distance between values, without a sign; "" for None."""
        return "" if value is None else f"{value * 100:.1f}" if self.is_share else plain(value)

    def difference(self, value: float | None) -> str:
        """Format a difference with its sign; "" for None."""
        if value is None:
            return ""
        return f"{value * 100:+z.1f}".replace("-", "−") if self.is_share else plain(value, sign="+")

    def interval(self, bounds: Sequence[float] | None) -> str:
        """Format an interval of differences; "" for None."""
        return "" if bounds is None else f"{self.difference(bounds[0])} to {self.difference(bounds[1])}"


def plain(value: float | None, sign: str = "") -> str:
    """Format a number with about three significant digits; "" for None."""
    if value is None:
        return ""
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:{sign}z,.{digits}f}".replace("-", "−")


def wrapped(name: str, width: int, lines: int = 2) -> str:
    """Wrap a name at its separators into ``lines`` lines of ``width`` characters, shortening it if necessary."""
    return next("\n".join(broken) for n in range(len(name), -1, -1)
                if len(broken := _lines(shortened(name, n), width)) <= lines)


def _lines(name: str, width: int) -> list[str]:
    lines = [""]
    for part in BREAKS.split(name):
        for start in range(0, len(part), width):
            piece = part[start : start + width]
            if len((lines[-1] + piece).rstrip()) <= width:
                lines[-1] += piece
            else:
                lines.append(piece)
    return [line.strip() for line in lines]
