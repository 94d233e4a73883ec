"""A time budget for a run: the number of epochs that fits into it."""

from __future__ import annotations

import copy
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from embeddings.table.arguments import argument
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks.base import Task
from pipeline.tasks.resolved import ChosenPart, Setup, with_parts
from transformer.training.schedule import resolve_epochs
from transformer.training.trainer import Trainer

log = logging.getLogger("vecformer.data")

PART = "budget"
UNITS = {"s": 1, "m": 60, "h": 3600}
N_BATCHES = 12        # batches of the measurement, after a warm-up of a third of them
TRAINING_SHARE = 0.8  # of the time that remains after stage one; the rest is evaluation, baselines and writing


def budget_seconds(config: RunConfig) -> float | None:
    """Return the budget in seconds; None without one.

    Raises:
        ConfigError: if it is not a number with a unit, such as ``90s``, ``5m`` or ``2h``.
    """
    return parse_budget(config.budget, "budget") if config.budget else None


def parse_budget(text: str, what: str) -> float:
    """Return a budget in seconds.

    Args:
        text: a number and ``s``, ``m`` or ``h``.
        what: the name of the key or option, for messages.

    Raises:
        ConfigError: if it is something else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(f"{what} = {text!r}: write a number and s, m or h, such as 90s, 5m or 2h")
    return float(match[1]) * UNITS[match[2]]


def fit_epochs(
    setup: Setup[Any], task: Task[Any], model: nn.Module, batches: TrainingBatches, folder: RunFolder,
    context: RunContext,
) -> Setup[Any]:
    """Measure the speed of training on a copy of the model, and reduce the epochs to those that fit into the budget.

    The number is saved in ``resolved.json``, so that a resumed run has the same.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        model: the model; not changed.
        batches: the training batches.
        folder: the run folder.
        context: clock and process group.

    Raises:
        ConfigError: if several processes train together, which would measure different speeds.
    """
    budget = budget_seconds(setup.config)
    if budget is None or PART in setup.resolved.parts:
        return setup
    if context.world.size > 1:
        raise ConfigError("budget: several processes cannot share a time budget; set training.epochs instead")
    first = batches(1)
    planned = resolve_epochs(setup.config.training, len(first))
    remaining = TRAINING_SHARE * (budget - (time.monotonic() - context.began))
    of_epoch = len(first) * seconds_of_step(setup, task, model, first)
    epochs = max(1, min(planned, int(remaining / of_epoch)))
    reason = f"an epoch takes {of_epoch:.1f} s, {max(0.0, remaining):.0f} s remain for training"
    if of_epoch > remaining:
        log.warning("the budget of %s is too short: %s. Use fewer texts (%s) or a longer budget",
                    setup.config.budget, reason, argument("limit_train"))
    log.info("budget %s: %d of %d epochs (%s)", setup.config.budget, epochs, planned, reason)
    measured = {PART: ChosenPart(reason, {"training.epochs": epochs})}
    resolved = replace(setup.resolved, parts={**setup.resolved.parts, **measured})
    setup = replace(setup, config=with_parts(setup.config, measured), resolved=resolved)
    setup.resolved.save(folder.resolved)
    return setup


def seconds_of_step(setup: Setup[Any], task: Task[Any], model: nn.Module, batches: Sequence[Any]) -> float:
    """Return the mean time of a training step, measured on a copy of the model."""
    chosen = batches[:: max(1, len(batches) // N_BATCHES)][:N_BATCHES]
    config = replace(setup.config.training, epochs=1, freeze_epochs=0, unfreeze_epochs=0, patience=0)
    trial = copy.deepcopy(model)
    seconds = []
    with torch.random.fork_rng():
        for part in (chosen[: len(chosen) // 3], chosen):
            if part:
                run = Trainer(model=trial, batches=lambda _epoch, part=part: part,  # type: ignore[misc]
                              loss=task.loss, evaluate=None, config=config).run()
                seconds.append(run.seconds / len(part))
    return seconds[-1]
