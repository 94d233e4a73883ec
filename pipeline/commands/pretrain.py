"""The configuration of ``vecformer pretrain``: a masked language model for other runs to start from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.commands.run import configuration as configuration_of_run
from pipeline.config import RunConfig
from pipeline.runs.tokenizer import OF_WORDS

DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("task", "masked-language-model"),
    ("data.test_share", 0.01),
    ("data.dev_share", 0.01),
    ("data.min_count", 3),
    ("data.max_words", 20_000),      # the size of the output layer, which takes most of the time
    ("embedding.freeze", True),      # words of other texts have vectors in the same space
    ("model.tied", False),
    ("model.convolutions", [3, 5]),
    ("pretraining.masked_share", 0.2),
    ("training.batch_tokens", 4096),
    ("training.lr", 2e-3),
    ("training.epochs", 3),
)


def configuration(resume: Path | None, assignments: Iterable[tuple[str, Any]]) -> RunConfig:
    """Return the configuration: that of the interrupted run, or the defaults for pretraining and assignments.

    Raises:
        ConfigError: for an unknown key or invalid value.
        RunFolderError: if there is no interrupted run, or its files are damaged.
    """
    given = dict(assignments)
    left_out = OF_WORDS if given.get("data.units") == "subwords" else ()
    defaults = {key: value for key, value in DEFAULTS if key not in left_out}
    return configuration_of_run(None, resume, () if resume else [*(defaults | given).items()])
