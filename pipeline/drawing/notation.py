"""How values of a measure, and differences between them, are written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BREAKS = re.compile(r"(?<=[ ,+:|/_=])")  # after which the name of a start or a condition may go on in the next line


@dataclass(frozen=True)
class Notation:
    """How a measure is written: shares as percentages, their differences as points; anything else as plain numbers.

    Attributes:
        measure: its name.
        is_share: its values are from 0 to 1.
        smaller_is_better: of two values of it.
    """

    measure: str
    is_share: bool
    smaller_is_better: bool

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Notation:
        """That of the measure which a benchmark's summary compares."""
        return cls(summary["measure"], summary["is_share"], summary["smaller_is_better"])

    @property
    def factor(self) -> float:
        """By which values are multiplied for an axis."""
        return 100.0 if self.is_share else 1.0

    @property
    def axis(self) -> str:
        """What stands at an axis of values."""
        return self.measure + ", per cent" * self.is_share + " (smaller is better)" * self.smaller_is_better

    @property
    def gain_axis(self) -> str:
        """What stands at an axis of differences, of which those above 0 are for the better."""
        return f"gain: {'less' if self.smaller_is_better else 'more'} {self.measure}" + ", in points" * self.is_share

    def value(self, value: float | None) -> str:
        """A value; "" if there is none."""
        return "" if value is None else f"{value:.1%}" if self.is_share else plain(value)

    def size(self, value: float | None) -> str:
        """A distance between values, without a sign."""
        return "" if value is None else f"{value * 100:.1f}" if self.is_share else plain(value)

    def difference(self, value: float | None) -> str:
        """A difference, with its sign."""
        if value is None:
            return ""
        return f"{value * 100:+z.1f}".replace("-", "−") if self.is_share else plain(value, sign="+")

    def interval(self, ends: Sequence[float] | None) -> str:
        """Both ends of an interval of differences."""
        return "" if ends is None else f"{self.difference(ends[0])} to {self.difference(ends[1])}"


def plain(value: float | None, sign: str = "") -> str:
    """A number with three digits or so; "" if there is none."""
    if value is None:
        return ""
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:{sign}z,.{digits}f}".replace("-", "−")


def shortened(name: str, width: int) -> str:
    """A name of at most so many characters, its middle left out: what tells names apart is often at their end."""
    if len(name) <= width:
        return name
    head = width // 2
    return f"{name[:head]}…{name[len(name) - (width - head - 1):]}"


def wrapped(name: str, width: int, lines: int = 2) -> str:
    """A name over at most so many lines of at most so many characters, broken where its parts meet, else shortened."""
    return next("\n".join(made) for n in range(len(name), -1, -1)
                if len(made := _lines(shortened(name, n), width)) <= lines)


def _lines(name: str, width: int) -> list[str]:
    lines = [""]
    for part in BREAKS.split(name):
        for begin in range(0, len(part), width):
            piece = part[begin : begin + width]
            if len((lines[-1] + piece).rstrip()) <= width:
                lines[-1] += piece
            else:
                lines.append(piece)
    return [line.strip() for line in lines]
