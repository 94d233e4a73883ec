"""The surroundings of a run, which do not change its result."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from embeddings.progress import Progress, silent
from pipeline.telemetry.profiling import STOPPED, Clock
from transformer.training.distributed import World


@dataclass(frozen=True)
class RunContext:
    """Progress, clock and process group of a run.

    Attributes:
        progress: progress callback.
        clock: clock that measures the time of each part of the run.
        world: processes that train together, and the device of this one.
        began: start of the run, a value of ``time.monotonic``.
    """

    progress: Progress = silent
    clock: Clock = STOPPED
    world: World = field(default_factory=World)
    began: float = field(default_factory=time.monotonic)
