"""What the teacher sees of the texts, depending on the start of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from embeddings.table.oov_policy import parse_policy
from pipeline.baselines import MeanVectors
from pipeline.baselines.linear import SAGA, fitting, frequent_tfidf_features
from pipeline.data.examples import Example
from pipeline.data.features.batching import collate
from pipeline.runs.contrastive import TextVectors
from pipeline.runs.self_training.teacher import View
from pipeline.tasks.base import Task, Tokenizers
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Setup
from pipeline.tasks.text_input import joined
from pipeline.word_vectors import StageOne
from transformer.kernels.precision import autocast

MEANS: Mapping[str, Any] = {"C": 0.1, "tol": 1e-3, "max_iter": 500}
OF_ENCODER: Mapping[str, Any] = {"C": 10.0, "max_iter": 1000}
IN_ROUNDS: Mapping[str, Any] = {"C": 1.0}
CONCENTRATION = 40.0  # chosen on dev of ag_news with 32 and 64 labels, where 20 to 80 differ by less than a point

Views = Callable[[Sequence[Example]], Sequence[View]]
"""Makes the views of texts, in their order."""


def views_of_words(setup: Setup[Any], stage_one: StageOne) -> Views:
    """Return the views for a run from word vectors: TF-IDF of words, and standardised means of the vectors."""
    def views(examples: Sequence[Example]) -> Sequence[View]:
        from sklearn.preprocessing import StandardScaler

        texts = [joined(example) for example in examples]
        means = MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
        with fitting():
            return (View(frequent_tfidf_features(2).fit_transform(texts),
                         {"C": 10, "random_state": setup.config.seed, **SAGA}),
                    View(StandardScaler().fit_transform(means(texts)), MEANS))

    return views


def views_of_encoder(
    setup: Setup[Any], task: Task[Any], model: Callable[[], Any], tokenizers: Tokenizers
) -> Views:
    """Return the view for a run from a checkpoint: the text vectors of its encoder, whose directions form clusters.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        model: makes the model before training, which has an encoder.
        tokenizers: its tokenizers.
    """
    def views(examples: Sequence[Example]) -> Sequence[View]:
        started = model()
        vectors = TextVectors(started.encoder, setup.model.d_model)
        features = task.encode(examples, tokenizers, setup)
        with autocast(next(started.parameters()).device, setup.config.training.precision):
            found = outputs(vectors, features, collate, lambda batch: vectors(batch.ids, batch.token_types))
        return (View(torch.stack(found).numpy(), OF_ENCODER, IN_ROUNDS, concentration=CONCENTRATION),)

    return views
