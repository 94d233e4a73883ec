"""What is shown of a benchmark under way: a live view on a terminal, a line for each run elsewhere."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from threading import Lock
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.execution.jobs import Event, Job, Told
from pipeline.benchmark.store import DONE

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Clock = Callable[[], float]


@contextmanager
def watch(
    plan: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], *, quiet: bool = False,
    console: Console | None = None, clock: Clock = time.monotonic,
) -> Iterator[Told]:
    """Show on standard error how far the runs of a plan have come.

    Args:
        plan: as :meth:`pipeline.benchmark.plan.Plan.described` tells it.
        records: of the runs that ended earlier, by key; as a benchmark's folder has them.
        quiet: show nothing.
        console: shown on instead.
        clock: tells the seconds.

    Yields:
        What is to be told of everything that happens.
    """
    if quiet:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.live import Live

    console = console or Console(stderr=True)
    standing = Standing(plan, records, clock)
    if not console.is_terminal:
        yield lambda event: _say(console, standing.hear(event))
        return
    with Live(get_renderable=lambda: _view(standing), console=console, transient=True):
        def told(event: Event) -> None:
            line = standing.hear(event)
            if event.outcome is not None and event.outcome.error:
                _say(console, line)

        yield told


def _say(console: Console, line: str) -> None:
    if line:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass
class Running:
    """A run under way, and what was heard of it last."""

    job: Job
    since: float
    what: str = ""
    share: float = 0.0


class Standing:
    """How a benchmark stands; it may be read in another thread than it is told in.

    Args:
        plan: with ``measure``, ``smaller_is_better`` and ``runs``.
        records: of the runs that ended earlier, by key.
        clock: tells the seconds.
    """

    def __init__(
        self, plan: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], clock: Clock
    ) -> None:
        self._plan, self._clock, self._lock = plan, clock, Lock()
        self._places = {run["key"]: (run["start"], run["condition"]) for run in plan["runs"]}
        self._left = dict.fromkeys(self._places)
        self._running: dict[str, Running] = {}
        self._at_once = 1
        self._seconds: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._scores: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.n_planned, self.n_failed = len(self._places), 0
        for key, record in records.items():
            if key in self._left and record["status"] == DONE:
                del self._left[key]
                self._keep_score(key, record)

    @property
    def n_done(self) -> int:
        """Runs that have a result."""
        return self.n_planned - self.n_failed - len(self._left)

    def hear(self, event: Event) -> str:
        """Take something in; a line about it if a run has ended."""
        key, now = event.job.key, self._clock()
        with self._lock:
            if event.outcome is None:
                running = self._running.setdefault(key, Running(event.job, now))
                running.what, running.share = event.what, event.share
                self._at_once = max(self._at_once, len(self._running))
                return ""
            del self._left[key]
            seconds = now - self._running.pop(key).since
            if event.outcome.error:
                self.n_failed += 1
                what = f"failed: {event.outcome.error}"
            else:
                self._seconds[self._places[key]].append(seconds)
                score = self._keep_score(key, event.outcome.record)
                what = f"{'done' if score is None else f'{score:.4g}'} in {spoken(seconds)}"
        left = self.seconds_left()
        more = f"; {'about ' * (left >= 1)}{spoken(left)} left" if left else ""
        return f"{self.n_planned - len(self._left)}/{self.n_planned}  {event.job.name}: {what}{more}"

    def _keep_score(self, key: str, record: Mapping[str, Any]) -> float | None:
        score: float | None = record.get("test", {}).get(self._plan["measure"])
        if score is not None:
            self._scores[self._places[key]].append(score)
        return score

    def running(self) -> list[Running]:
        """The runs under way, the oldest first."""
        with self._lock:
            return list(self._running.values())

    def seconds_left(self) -> float | None:
        """By what runs have taken so far, those from the same start under the same condition if there are any."""
        with self._lock:
            if not self._seconds:
                return None
            means = {place: fmean(seconds) for place, seconds in self._seconds.items()}
            overall = fmean(means.values())
            now, total = self._clock(), 0.0
            for key in self._left:
                passed = now - self._running[key].since if key in self._running else 0.0
                total += max(0.0, means.get(self._places[key], overall) - passed)
            return total / self._at_once

    def best(self) -> list[tuple[str, str, float, int]]:
        """For each condition with results the best start so far, its mean score, and of how many runs."""
        with self._lock:
            means = {place: (fmean(scores), len(scores)) for place, scores in self._scores.items()}
        found = []
        for condition in dict.fromkeys(condition for _, condition in self._places.values()):
            here = [(mean, n, start) for (start, of), (mean, n) in means.items() if of == condition]
            if here:
                mean, n, start = (min if self._plan["smaller_is_better"] else max)(here, key=lambda one: one[0])
                found.append((condition, start, mean, n))
        return found


def _view(standing: Standing) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    left = standing.seconds_left()
    failed = f", {standing.n_failed} failed" if standing.n_failed else ""
    time_left = f"; about {spoken(left)} left" if left else ""
    n_left = standing.n_planned - standing.n_done - standing.n_failed
    runs, best = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    for table, columns in ((runs, 4), (best, 3)):
        for _ in range(columns):
            table.add_column(no_wrap=True, overflow="ellipsis")
    for one in standing.running():
        runs.add_row(Text(one.job.name), Text(one.what), ProgressBar(total=1, completed=one.share, width=16),
                     f"{one.share:4.0%}")
    for condition, start, mean, n in standing.best():
        best.add_row(Text(condition), Text(start), f"{mean:.4g} (mean of {n})")
    headline = f"{standing.n_done} of {standing.n_planned} runs done{failed}, {n_left} left{time_left}"
    shown: list[RenderableType] = [Text(headline, style="bold", no_wrap=True, overflow="ellipsis"), runs]
    if best.row_count:
        shown += [Text("best so far", style="bold"), best]
    return Group(*shown)


def spoken(seconds: float) -> str:
    """Such as ``13 s``, ``9 min`` and ``2 h 05 min``."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
