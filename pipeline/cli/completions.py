"""Values that a shell can complete: finished runs, sources, tasks and transforms."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from pipeline.drawing.terminal import is_cell


def complete_runs(incomplete: str) -> list[CompletionItem]:
    """Return the finished runs whose path begins with a text; without a folder, also those in ``runs``."""
    from pipeline.runs.other_runs import DEFAULT_PLACE, runs_in

    places = [Path(incomplete).parent if "/" in incomplete else Path()]
    if "/" not in incomplete:
        places.append(DEFAULT_PLACE)
    found = [str(run) for place in places for run in runs_in(place)]
    return _items((run for run in found if Path(run).name.startswith(incomplete)), "") or _items(found, incomplete)


def complete_sources(_ctx: click.Context, _param: Any, incomplete: str) -> list[CompletionItem]:
    """Return the names of the sources of word vectors that continue the last part of ``A+B``."""
    from embeddings.specification.sources import SOURCES

    before, plus, last = incomplete.rpartition("+")
    return _items((before + plus + name for name in SOURCES.available if name.startswith(last)), "")


def complete_tasks(_ctx: click.Context, _param: Any, incomplete: str) -> list[CompletionItem]:
    """Return the names of the tasks."""
    from pipeline.tasks.base import TASKS

    return _items(TASKS.available, incomplete)


def complete_transforms(_ctx: click.Context, _param: Any, incomplete: str) -> list[CompletionItem]:
    """Return the names of the transforms."""
    from embeddings.specification.transforms import TRANSFORMS

    return _items(TRANSFORMS.available, incomplete)


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the values that fit on one line each, as a shell requires."""
    return [CompletionItem(value) for value in values if value.startswith(incomplete) and is_cell(value)]
