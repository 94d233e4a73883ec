"""Which baselines of a task are trained: those that the configuration names, unless one needs too much memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from embeddings.specification.suggest import did_you_mean
from embeddings.table.arguments import argument, setting
from embeddings.table.listing import listed
from pipeline.baselines.fasttext import check_model
from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.config import RunConfig

T = TypeVar("T")

log = logging.getLogger("vecformer")

ALL, NONE = ("all",), ("none",)
IMPORTED = (
    "scipy.sparse", "scipy.special", "sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.metrics",
    "sklearn.preprocessing", "threadpoolctl",
)
"""Modules imported before threads start, which might see a half imported module otherwise."""

FASTTEXT = "fasttext:MODEL.bin"  # among the names of a task's baselines if it can be compared with such models
GB = 1e9

_SKIPPED: ContextVar[dict[str, str] | None] = ContextVar("skipped", default=None)


class TooLargeError(Exception):
    """A baseline needs more memory than is allowed.

    Args:
        needed: estimate in bytes.
        sizes: the sizes that it follows from, such as ``10,000 labels x 85,000 features``.
    """

    def __init__(self, needed: float, sizes: str) -> None:
        super().__init__(sizes)
        self.needed, self.sizes = needed, sizes


def require_memory(needed: float, sizes: str, max_gb: float) -> None:
    """Raise :class:`TooLargeError` for an estimate above the limit.

    Args:
        needed: estimate in bytes.
        sizes: the sizes that it follows from.
        max_gb: the limit in GB.
    """
    if needed > max_gb * GB:
        raise TooLargeError(needed, sizes)


def check_selection(config: RunConfig, names: tuple[str, ...]) -> None:
    """Check the key ``baselines``.

    Args:
        config: the configuration.
        names: baselines of the task.

    Raises:
        ConfigError: for a name that the task does not have; the message lists those it has.
    """
    if config.baselines in (ALL, NONE):
        return
    for name in config.baselines:
        if name not in names and not (FASTTEXT in names and check_model(name)):
            others = f"Its baselines are: {listed(names)}" if names else "It has none to choose from"
            raise ConfigError(f"baselines: the task {config.task} has no baseline {name!r}.{did_you_mean(name, names)} "
                              f"{others}. Write their names separated by commas, or all or none alone")


def train_selected(
    config: RunConfig, baselines: Mapping[str, Callable[[], T | None]], *, at_once: int = 1
) -> dict[str, T]:
    """Train the selected baselines and return what they predict, by name.

    A baseline that needs more memory than ``baseline_memory_gb`` is skipped with a warning.

    Args:
        config: the configuration.
        baselines: function that trains each baseline; it returns None if the baseline cannot be trained on these data.
        at_once: number of baselines that are trained at the same time, each with one thread.
    """
    selected = {name: train for name, train in baselines.items() if is_selected(config, name)}
    made: dict[str, T] = {}
    for name, outcome in zip(selected, _outcomes(list(selected.values()), at_once), strict=True):
        try:
            predicted = outcome()
        except TooLargeError as error:
            _skip(name, error, config.baseline_memory_gb)
        else:
            if predicted is not None:
                made[name] = predicted
    return made


def _outcomes(functions: Sequence[Callable[[], T]], at_once: int) -> Iterator[Callable[[], T]]:
    """Call functions in order, several at once, and yield functions that return the results or raise the errors."""
    if at_once == 1 or len(functions) < 2:
        yield from functions
        return
    for module in IMPORTED:
        import_module(module)
    futures: list[Future[T]] = [Future() for _ in functions]
    waiting = deque(zip(functions, futures, strict=True))

    def work() -> None:
        with suppress(IndexError):
            while True:
                function, future = waiting.popleft()
                try:
                    future.set_result(function())
                except BaseException as error:
                    future.set_exception(error)

    # Daemon threads do not delay the end of the process after Ctrl+C, as those of an executor would.
    for _ in range(min(at_once, len(functions))):
        Thread(target=copy_context().run, args=(work,), daemon=True).start()
    try:
        yield from (future.result for future in futures)
    finally:
        waiting.clear()


def is_selected(config: RunConfig, name: str) -> bool:
    """Return whether a baseline is to be trained."""
    return config.baselines == ALL or name in config.baselines


@contextmanager
def recorded_skips() -> Iterator[Mapping[str, str]]:
    """Record why baselines are skipped inside the block, by their names."""
    skipped: dict[str, str] = {}
    token = _SKIPPED.set(skipped)
    try:
        yield skipped
    finally:
        _SKIPPED.reset(token)


def _skip(name: str, error: TooLargeError, max_gb: float) -> None:
    needed = error.needed / GB
    reason = (f"it needs about {needed:,.1f} GB of memory ({error.sizes}); the limit is {max_gb:g} GB. Raise it with "
              f"{setting(f'baseline_memory_gb={needed + 1:.0f}')}")
    log.warning("baseline %s skipped: %s, or leave it out with %s", name, reason, argument("baselines"))
    if (skipped := _SKIPPED.get()) is not None:
        skipped[name] = reason


def evaluate_selected(task: Any, splits: Any, setup: Any, stage_one: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Evaluate the selected baselines of a task.

    Returns:
        The measures of each baseline, and why others were skipped.
    """
    config = setup.config
    if config.baselines == NONE:
        return {}, {}
    with recorded_skips() as skipped:
        measured = task.baselines(splits, setup, stage_one)
    return {name: measures for name, measures in measured.items() if is_selected(config, name)}, dict(skipped)
