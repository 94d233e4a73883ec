"""What ``vecformer run`` needs besides :func:`pipeline.runs.chain.run`: its configuration and its default folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config import AUTO_SOURCE, RunConfig, resolve
from pipeline.runs.folder import RunFolder, configuration_of_unfinished, free_name
from pipeline.runs.verification import require_resumable


def configuration(file: Path | None, resume: Path | None, assignments: Sequence[tuple[str, Any]]) -> RunConfig:
    """Return the configuration of a run: that of the interrupted run, or defaults, a file and assignments.

    Raises:
        ConfigError: for an unknown key or invalid value.
        RunFolderError: if there is no interrupted run, or its files are damaged.
    """
    if resume:
        file = configuration_of_unfinished(resume)
        require_resumable(RunFolder(file.parent))
    return resolve(file, assignments)


def default_folder(config: RunConfig) -> Path:
    """Return a free name under ``runs/`` made of data, source if one is configured, and seed."""
    source = "" if config.source == AUTO_SOURCE else "-" + re.sub(r"[^\w.=+-]+", "-", config.source)
    return free_name(Path("runs") / f"{Path(config.data.path).stem or 'run'}{source}-seed{config.seed}")
