"""Compare the weights of the page with the run on held-out texts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.exports.browser.page_data import PageData
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared, Tokenizers

log = logging.getLogger("vecformer")

N_TEXTS, LONGEST = 500, 60


@dataclass(frozen=True)
class Agreement:
    """How far the page agrees with the run.

    Attributes:
        n: number of texts.
        n_equal: number of texts with the same label.
        difference: mean absolute difference of the probability of the run's label.
        held_out: whether the texts are test texts of the run; otherwise they consist of random words.
    """

    n: int
    n_equal: int
    difference: float
    held_out: bool

    def __str__(self) -> str:
        kind = "test texts" if self.held_out else "texts of random words"
        return (f"the same label as the run for {self.n_equal:,} of {self.n:,} {kind}; the probability of the label "
                f"differs by {self.difference:.4f} on average")


def agreement(trained: TrainedRun, data: PageData) -> Agreement:
    """Predict for held-out texts with the run and with the weights of the page.

    The texts are those of the test set, or texts of random words if the data of the run cannot be read.
    """
    examples = _test_examples(trained)
    held_out = bool(examples)
    examples = examples or [trained.example(text) for text in _random_texts(data.words)]
    expected = trained.predict_for(examples)
    pairs = list(zip(expected, page_predictions(trained, data, examples), strict=True))
    differences = [abs(of_run["probabilities"][of_run["label"]] - of_page["probabilities"].get(of_run["label"], 0.0))
                   for of_run, of_page in pairs]
    return Agreement(len(pairs), sum(of_run["label"] == of_page["label"] for of_run, of_page in pairs),
                     float(np.mean(differences)), held_out)


def page_predictions(trained: TrainedRun, data: PageData, examples: Sequence[Any]) -> list[Prediction]:
    """Predict as the page does, from its words and weights, for examples of the task."""
    tokenizer = trained.tokenizer.with_vocabulary(data.words)
    tokenizers = Tokenizers(tokenizer, len(tokenizer))
    features = trained.task.encode(examples, tokenizers, trained.setup)
    return trained.task.predict(data.model(trained), Prepared(examples, features, tokenizers), trained.setup)


def _test_examples(trained: TrainedRun) -> list[Any]:
    """Return test examples, evenly spread; an empty list if the data cannot be read."""
    level = log.level
    log.setLevel(logging.ERROR)  # the warnings of the reader were shown when the run was trained
    try:
        test = trained.task.reader.read(trained.config.data, seed=trained.config.seed).test
    except (PipelineError, OSError):
        return []
    finally:
        log.setLevel(level)
    return list(test[:: -(-len(test) // N_TEXTS) or 1])


def _random_texts(words: Sequence[str]) -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.choice(words, random.integers(1, LONGEST + 1))) for _ in range(N_TEXTS)]
