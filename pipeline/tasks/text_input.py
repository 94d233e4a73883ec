"""Shared by the tasks with one prediction for a text or a pair of texts: token types, model, encoding, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from pipeline.config import RunConfig
from pipeline.data.examples import TextOrPair
from pipeline.data.features.batching import Feature, collate
from pipeline.data.features.special_tokens import N_TOKEN_TYPES, framed, shortened, token_types_of
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Setup
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead, ClsHead, PairHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder


def n_token_types(config: RunConfig, examples: Iterable[TextOrPair]) -> int:
    """Return the number of token types that a model of these training examples has; 0 for single texts."""
    pairs = any(example.text_b for example in examples)
    return (2 if config.model.like else N_TOKEN_TYPES) if pairs else 0


def text_model(setup: Setup[Any], embedding: TokenEmbedding, *, n_outputs: int) -> nn.Module:
    """Build an encoder with pooling and an output layer."""
    shape = setup.model
    kind = ClsHead if shape.pooling == "cls" else PairHead if shape.token_types else ClassificationHead
    # The order of construction decides which random numbers each part gets; results of a seed depend on it.
    head = kind(d_model=shape.d_model, n_classes=n_outputs, dropout=shape.dropout)
    return TransformerModel(encoder=Encoder(config=shape, embedding=embedding), head=head)


def encode_texts(
    examples: Sequence[TextOrPair], targets: Sequence[NDArray[Any]], tokenizers: Tokenizers, setup: Setup[Any]
) -> list[Feature]:
    """Encode each text, or each pair with special tokens.

    Args:
        examples: the texts.
        targets: target of each of them.
        tokenizers: the tokenizers of the run.
        setup: configuration and resolved facts.
    """
    limit, n_types = setup.data.max_length, setup.model.token_types
    first = tokenizers.source.encode([example.text for example in examples], max_length=limit)
    second = tokenizers.source.encode([example.text_b for example in examples], max_length=limit)
    features = []
    for i, example in enumerate(examples):
        ids, token_types = first[i], None
        if n_types:
            one, other = shortened(first[i], second[i], max(2, limit - 3))
            ids, token_types = framed(one, other), token_types_of(one, other) % n_types
        elif setup.model.pooling == "cls" or setup.data.add_special_tokens:
            ids = framed(first[i][: max(1, limit - 2)])
        features.append(Feature(ids, targets[i], i, example.where, token_types))
    return features


def model_outputs(model: nn.Module, prepared: Prepared[Any], progress: Progress = silent) -> Tensor:
    """Compute the output of the model for each example. *Shape:* ``(n, n_outputs)``, float32."""
    return torch.stack(outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                               progress=progress))


def joined(example: TextOrPair) -> str:
    """Return both texts of an example as one."""
    return f"{example.text} {example.text_b}".strip()


def shown(example: TextOrPair) -> str:
    """Return the texts of an example, separated by a tab."""
    return "\t".join(text for text in (example.text, example.text_b) if text)
