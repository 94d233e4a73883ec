"""List the tasks with their measures and configuration keys."""

from __future__ import annotations

from typing import Any

from pipeline.data.config import DataConfig
from pipeline.tasks.base import TASKS, find


def tasks() -> list[dict[str, Any]]:
    """Return the description of every task, those of other packages included.

    Returns:
        For each task ``name``, ``description``, ``measures`` (``name`` and ``help``), ``files`` (suffixes), ``keys``
        (keys of the configuration that only some tasks read) and ``baselines`` (names for the key ``baselines``).
    """
    listed = []
    for name in TASKS.available:
        task = find(name)
        listed.append({
            "name": name,
            "description": (type(task).__doc__ or "").strip().split("\n\n")[0].replace("\n", " "),
            "measures": [{"name": measure.name, "help": measure.help} for measure in task.measures],
            "files": list(task.reader.suffixes(DataConfig())),
            "keys": list(task.keys),
            "baselines": list(task.baseline_names),
        })
    return listed
