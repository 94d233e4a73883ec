"""Run both stages, evaluate and report: ``from pipeline import run, RunConfig, load_run``."""

from __future__ import annotations

from typing import Any

# Imported lazily, because `vecformer --help` imports this package and must not import torch.
_HOMES = {
    "RunConfig": "pipeline.config",
    "load_run": "pipeline.runs.trained",
    "run": "pipeline.runs.chain",
}

__all__ = ["RunConfig", "load_run", "run"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
