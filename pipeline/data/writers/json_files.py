"""JSON: an object on each line, or a list of objects."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time, timedelta
from typing import Any

from pipeline.data.writers.grid import MISSING, Added, Grid, cell_text, keys_of


def new_file(grid: Grid, added: Added, *, lines: bool) -> bytes:
    """Return a file of one object for each row that is not blank; nested values are kept.

    Args:
        grid: the table.
        added: the columns that are added.
        lines: write one object on each line, otherwise a list of them.
    """
    keys = keys_of(grid)
    objects = []
    for at in grid.filled:
        own = {key: value for key, value in zip(keys, grid.rows[at], strict=False) if value is not MISSING}
        new = {name: None if value in (math.inf, -math.inf) else value
               for name, value in zip(added.names, added.rows[at], strict=True)}
        objects.append(json.dumps({**own, **new}, ensure_ascii=False, default=_written))
    text = "".join(f"{one}\n" for one in objects) if lines else "[\n" + ",\n".join(objects) + "\n]\n"
    return text.encode(errors="replace")


def _written(value: Any) -> str:
    """Return a value of Parquet or a spreadsheet that JSON does not have as a string."""
    return value.isoformat() if isinstance(value, date | datetime | time) else (
        str(value) if isinstance(value, timedelta) else cell_text(value))
