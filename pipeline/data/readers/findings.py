"""What the readers find in files: rows, detected properties of a file, and rows that are not used.

Readers report to the findings that are being collected (:func:`current`), so that a reader only returns examples.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("vecformer.data")


@dataclass
class Unused:
    """Rows that are not used for one reason: how many, and the place of the first."""

    count: int
    first: str


@dataclass
class Findings:
    """What was found in the files of a data set.

    Attributes:
        summary: one line with the number of rows and their parts.
        notes: properties of the files that were detected, such as a separator, and other facts.
        unused: rows that are not used, by reason, such as ``empty (left out)``.
        warnings: notes on content that is lost or probably read wrongly.
        columns: the columns of the texts and of the labels that were chosen in each file.
    """

    summary: str = ""
    notes: list[str] = field(default_factory=list)
    unused: dict[str, Unused] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    columns: dict[Path, dict[str, tuple[str, ...]]] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Add a fact, once."""
        if text not in self.notes:
            self.notes.append(text)

    def warn(self, text: str) -> None:
        """Add a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def choose(self, path: Path, what: str, columns: tuple[str, ...]) -> None:
        """Record the columns that were chosen in a file for ``text`` or ``label``."""
        self.columns.setdefault(path, {})[what] = columns

    def leave_out(self, reason: str, where: str) -> None:
        """Count a row that is not used.

        Args:
            reason: such as ``empty (left out)``; it follows a number of rows.
            where: place of the row, ``file:line``.
        """
        unused = self.unused.setdefault(reason, Unused(0, where))
        unused.count += 1

    def lines(self) -> list[str]:
        """Return the report without the warnings."""
        return [*([self.summary] if self.summary else []), *self.notes]

    def warning_lines(self) -> list[str]:
        """Return the warnings, among them one line for each reason for which rows are not used."""
        return [*self.warnings, *(f"{unused.count:,} {'row is' if unused.count == 1 else 'rows are'} {reason}; the "
                                  f"first is {unused.first}" for reason, unused in self.unused.items())]

    def log(self) -> None:
        """Log the report: warnings as warnings, the rest as information."""
        for line in self.lines():
            log.info("%s", line)
        for line in self.warning_lines():
            log.warning("%s", line)


_current: ContextVar[Findings | None] = ContextVar("findings", default=None)


def current() -> Findings:
    """Return the findings that are being collected; findings that are forgotten if none are."""
    return _current.get() or Findings()


@contextmanager
def collecting() -> Iterator[Findings]:
    """Collect what readers report inside the block."""
    findings = Findings()
    token = _current.set(findings)
    try:
        yield findings
    finally:
        _current.reset(token)
