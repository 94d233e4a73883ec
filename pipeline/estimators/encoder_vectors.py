"""Vectors of texts by the encoder of a run: the mean of its outputs over the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.examples import Example
from pipeline.data.features.batching import Batch, collate
from pipeline.errors import ConfigError
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.inference import reduced_outputs
from pipeline.tasks.masked_language_model import MaskedTokens
from transformer.models.outputs import masked_mean


def require_encoder(trained: TrainedRun, name: str) -> None:
    """Require that a run has an encoder of single texts.

    Raises:
        ConfigError: if it has none, or its texts need a second one.
    """
    if not hasattr(trained.model, "encoder") or hasattr(trained.model, "decoder") or trained.task.context_columns:
        raise ConfigError(f"{name}: a run of the task {trained.config.task} has no encoder of single texts; choose a "
                          "run of another task, such as classification or masked-language-model")


def encoder_vectors(trained: TrainedRun, texts: Sequence[str]) -> NDArray[np.float32]:
    """Compute the mean of the encoder's outputs over the tokens of each text.

    A text of several windows has the mean of their vectors, weighted by their numbers of tokens.

    Returns:
        float32; zeros for a text without a token. *Shape:* ``(n_texts, d_model)``.
    """
    task, model = trained.task, trained.model
    with trained.computing():
        if isinstance(task, MaskedTokens):  # whose examples would be masked
            prepared = trained.prepare([Example(text, "", "the given text") for text in texts])
            features = task.encode_texts(list(texts), prepared.tokenizers, trained.setup)
        else:
            prepared = trained.prepare([trained.example(text) for text in texts])
            features = list(prepared.features)
        features = [feature for feature in features if len(feature)]

        def forward(batch: Batch) -> Tensor:
            encoded = model.encoder(batch.ids, batch.token_types)  # type: ignore[operator]
            mean: Tensor = masked_mean(encoded.hidden.float(), encoded.padding_mask)
            return mean

        means = reduced_outputs(model, features, collate, forward, lambda _rows, output: output.unbind())
    made = np.zeros((len(texts), trained.setup.model.d_model), dtype=np.float64)
    n_tokens = np.zeros(len(texts))
    for feature, mean in zip(features, means, strict=True):
        made[feature.example] += len(feature) * mean.to(torch.float64).numpy()
        n_tokens[feature.example] += len(feature)
    return (made / np.maximum(n_tokens, 1)[:, None]).astype(np.float32)
