"""Functions that a command calls in its own process first, to make it small."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODEL = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32}


def forked_workers() -> None:
    """Fork the workers of a benchmark from this process instead of starting a server for them."""
    import pipeline.benchmark.execution.processes as processes

    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment,misc]
    processes.start_server = lambda n_threads: None  # type: ignore[assignment]


def small_demo() -> None:
    """Let the demonstration use the small sample and a tiny model."""
    import pipeline.commands.demo as demo
    from pipeline.config import RunConfig

    run = demo.run

    def small_run(config: RunConfig, *args: Any, **options: Any) -> Any:
        small = RunConfig.from_mapping({
            "source": f"file:{ROOT / 'data' / 'support' / 'vectors.txt'}", "seed": config.seed, "model": MODEL,
            "data": {"path": str(ROOT / "data" / "support")},
            "training": {"epochs": 1, "batch_size": 64, "checkpoint_seconds": 0},
        })
        return run(small, *args, **options)

    demo.run = small_run
