"""Label the unlabelled texts by a linear teacher, so that the run trains on them as well.

Cross-validation on the labelled texts decides whether the labels are used: the teacher must be at least as accurate
with the unlabelled texts as without (:mod:`pipeline.runs.self_training.teacher`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.baselines.linear import fitting
from pipeline.data.examples import Example, Splits
from pipeline.runs.context import RunContext
from pipeline.runs.self_training.teacher import Teacher
from pipeline.runs.self_training.views import Views
from pipeline.tasks.base import Task
from pipeline.tasks.resolved import SelfTrained, Setup

log = logging.getLogger("vecformer.data")

KEY = "self_training.rounds"
EPOCHS = 6  # of training on the labels of the teacher, unless a number is configured


def self_train(
    setup: Setup[Any], task: Task[Any], splits: Splits[Any], views: Views, context: RunContext
) -> tuple[Setup[Any], Splits[Any]]:
    """Label the unlabelled texts if the configuration asks for it and it does not hurt.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        splits: the data.
        views: what the teacher sees of the texts.
        context: progress and clock.

    Returns:
        The setup with an account of the self-training, and fewer epochs by default, since there are more examples;
        and the data with the newly labelled texts among the training examples. Both are unchanged if self-training is
        not configured.
    """
    config = setup.config.self_training
    if not config.rounds or KEY not in task.keys or not splits.unlabelled:
        return setup, splits
    random = np.random.default_rng(setup.config.seed)
    pool, rest = [str(text) for text in splits.unlabelled], list[str]()
    if len(pool) > config.max_texts:
        order = random.permutation(len(pool))
        pool, rest = ([pool[i] for i in np.sort(part)]
                      for part in np.split(order, [config.max_texts]))
    with context.clock("self-training"):
        found, labels = _label(setup, splits.train, pool, views, random, context)
    log.info("%s", found)
    names = setup.resolved.labels
    made = [Example(text, names[i], f"unlabelled text {row}")
            for row, (text, i) in enumerate(zip(pool, labels, strict=False), start=1)]
    setup = replace(setup, resolved=replace(setup.resolved, self_training=found))
    if not made:
        return setup, splits
    training = replace(setup.config.training, epochs=setup.config.training.epochs or EPOCHS)
    setup = replace(setup, config=replace(setup.config, training=training))
    return setup, replace(splits, train=(*splits.train, *made), unlabelled=tuple(rest))


def _label(
    setup: Setup[Any], train: Sequence[Any], pool: Sequence[str], views: Views, random: np.random.Generator,
    context: RunContext,
) -> tuple[SelfTrained, list[int]]:
    """Return an account of the self-training and the number of the label of each text; none if it hurts."""
    number = {label: i for i, label in enumerate(setup.resolved.labels)}
    seen = views([*train, *(Example(text, "", "") for text in pool)])
    with fitting():
        teacher = Teacher(
            views=seen,
            gold=np.array([number[example.label] for example in train]),
            n_pool=len(pool),
            n_labels=len(number),
            rounds=setup.config.self_training.rounds,
            seed=setup.config.seed,
        )
        check = teacher.check(random, lambda share: context.progress("self-training", share))
        found = SelfTrained(n_texts=len(pool), accuracy_before=check.before, accuracy_after=check.after[check.best],
                            is_used=check.helps, start=check.best)
        return found, teacher.label_pool(check.best) if found.is_used else []
