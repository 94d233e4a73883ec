"""Progress of a benchmark: a live view on a terminal, one line per finished run elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from threading import Lock
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.analysis.selection import as_after
from pipeline.benchmark.execution.jobs import Event, EventHandler, Job
from pipeline.benchmark.store import DONE
from pipeline.drawing.terminal import cell

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Clock = Callable[[], float]


@contextmanager
def live_view(
    plan: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], *, quiet: bool = False,
    console: Console | None = None, clock: Clock = time.monotonic,
) -> Iterator[EventHandler]:
    """Show the progress of a plan's runs on standard error.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        records: records of earlier runs by key, as in the benchmark's folder.
        quiet: show nothing.
        console: console to print to instead.
        clock: returns the time in seconds.

    Yields:
        A handler to call with every event.
    """
    if quiet:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.live import Live

    console = console or Console(stderr=True)
    state = BenchmarkProgress(plan, records, clock)
    if not console.is_terminal:
        yield lambda event: _print_line(console, state.update(event))
        return
    with Live(get_renderable=lambda: render(state), console=console, transient=True):
        def on_event(event: Event) -> None:
            line = state.update(event)
            if event.outcome is not None and event.outcome.error:
                _print_line(console, line)

        yield on_event


def _print_line(console: Console, line: str) -> None:
    if line:
        console.print(cell(line), markup=False, highlight=False, soft_wrap=True)


@dataclass
class ActiveRun:
    """A running job with its latest progress."""

    job: Job
    since: float
    stage: str = ""
    fraction: float = 0.0


class BenchmarkProgress:
    """State of a running benchmark; thread-safe.

    Args:
        plan: with ``measure``, ``smaller_is_better``, ``conditions`` and ``runs``.
        records: records of earlier runs by key.
        clock: returns the time in seconds.
    """

    def __init__(
        self, plan: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], clock: Clock
    ) -> None:
        self._plan, self._clock, self._lock = plan, clock, Lock()
        self._cells = {run["key"]: (run["start"], run["condition"]) for run in plan["runs"]}
        self._epochs = {one["name"]: one.get("after_epochs") for one in plan["conditions"]}
        self._left = dict.fromkeys(self._cells)
        self._running: dict[str, ActiveRun] = {}
        self._n_concurrent = 1
        self._seconds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._scores: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.n_planned, self.n_failed = len(self._cells), 0
        for key, record in records.items():
            if key in self._left and record["status"] == DONE:
                del self._left[key]
                self._keep_score(key, record)

    @property
    def n_done(self) -> int:
        """Number of runs with a result."""
        return self.n_planned - self.n_failed - len(self._left)

    def update(self, event: Event) -> str:
        """Process an event and return the line to print, "" unless a run has ended."""
        key, now = event.job.key, self._clock()
        with self._lock:
            if event.outcome is None:
                running = self._running.setdefault(key, ActiveRun(event.job, now))
                running.stage, running.fraction = event.stage, event.fraction
                self._n_concurrent = max(self._n_concurrent, len(self._running))
                return ""
            del self._left[key]
            seconds = now - self._running.pop(key).since
            if event.outcome.error:
                self.n_failed += 1
                result = f"failed: {event.outcome.error}"
            else:
                self._seconds[self._cells[key]].append(seconds)
                score = self._keep_score(key, event.outcome.record)
                result = f"{'done' if score is None else f'{score:.4g}'} in {format_duration(seconds)}"
        left = self.seconds_left()
        more = f"; {'about ' * (left >= 1)}{format_duration(left)} left" if left else ""
        return f"{self.n_planned - len(self._left)}/{self.n_planned}  {event.job.name}: {result}{more}"

    def _keep_score(self, key: str, record: Mapping[str, Any]) -> float | None:
        cell = self._cells[key]
        then = as_after({"status": DONE, **record}, self._epochs[cell[1]]) or {}
        score: float | None = then.get("test", {}).get(self._plan["measure"])
        if score is not None:
            self._scores[cell].append(score)
        return score

    def running(self) -> list[ActiveRun]:
        """Running jobs in order of their start."""
        with self._lock:
            return list(self._running.values())

    def seconds_left(self) -> float | None:
        """Estimate the remaining time from finished runs, by cell where possible; None before the first result."""
        with self._lock:
            if not self._seconds:
                return None
            means = {cell: fmean(seconds) for cell, seconds in self._seconds.items()}
            overall = fmean(means.values())
            now, total = self._clock(), 0.0
            for key in self._left:
                elapsed = now - self._running[key].since if key in self._running else 0.0
                total += max(0.0, means.get(self._cells[key], overall) - elapsed)
            return total / self._n_concurrent

    def best(self) -> list[tuple[str, str, float, int]]:
        """For each condition with results: condition, best initialisation so far, its mean score, number of runs."""
        with self._lock:
            means = {cell: (fmean(scores), len(scores)) for cell, scores in self._scores.items()}
        found = []
        for condition in dict.fromkeys(condition for _, condition in self._cells.values()):
            here = [(mean, n, name) for (name, of), (mean, n) in means.items() if of == condition]
            if here:
                mean, n, name = (min if self._plan["smaller_is_better"] else max)(here, key=lambda one: one[0])
                found.append((condition, name, mean, n))
        return found


def render(state: BenchmarkProgress) -> RenderableType:
    """Render the live view."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    left = state.seconds_left()
    failed = f", {state.n_failed} failed" if state.n_failed else ""
    time_left = f"; about {format_duration(left)} left" if left else ""
    n_left = state.n_planned - state.n_done - state.n_failed
    runs, best = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    for table, columns in ((runs, 4), (best, 3)):
        for _ in range(columns):
            table.add_column(no_wrap=True, overflow="ellipsis")
    for run in state.running():
        runs.add_row(Text(cell(run.job.name)), Text(cell(run.stage)),
                     ProgressBar(total=1, completed=run.fraction, width=16), f"{run.fraction:4.0%}")
    for condition, name, mean, n in state.best():
        best.add_row(Text(cell(condition)), Text(cell(name)), f"{mean:.4g} (mean of {n})")
    headline = f"{state.n_done} of {state.n_planned} runs done{failed}, {n_left} left{time_left}"
    shown: list[RenderableType] = [Text(headline, style="bold", no_wrap=True, overflow="ellipsis"), runs]
    if best.row_count:
        shown += [Text("best so far", style="bold"), best]
    return Group(*shown)


def format_duration(seconds: float) -> str:
    """Format a duration as ``13 s``, ``9 min`` or ``2 h 05 min``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
