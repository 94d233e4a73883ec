"""Shared by the tasks with one prediction for a text or a pair of texts: token types, model, encoding, outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from pipeline.config import RunConfig
from pipeline.data.examples import TextOrPair
from pipeline.data.features.batching import collate
from pipeline.data.features.packed import EncodedText, PackedFeatures, Targets
from pipeline.data.features.special_tokens import N_TOKEN_TYPES, framed, shortened, token_types_of
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Setup
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead, ClsHead, MeanHead, PairHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

N_AT_ONCE = 2**16  # texts that are encoded before their ids are joined


def n_token_types(config: RunConfig, examples: Iterable[TextOrPair]) -> int:
    """Return the number of token types that a model of these training examples has; 0 for single texts."""
    pairs = any(example.text_b for example in examples)
    return (2 if config.model.like else N_TOKEN_TYPES) if pairs else 0


def text_model(setup: Setup[Any], embedding: TokenEmbedding, *, n_outputs: int) -> nn.Module:
    """Build an encoder with pooling and an output layer."""
    shape = setup.model
    of_pooling = {"cls": ClsHead, "mean": MeanHead, "mean-max": PairHead if shape.token_types else ClassificationHead}
    kind = of_pooling[shape.pooling]
    # The order of construction decides which random numbers each part gets; results of a seed depend on it.
    head = kind(d_model=shape.d_model, n_classes=n_outputs, dropout=shape.dropout)
    return TransformerModel(encoder=Encoder(config=shape, embedding=embedding), head=head)


def encode_texts(
    examples: Sequence[TextOrPair], targets: Targets, tokenizers: Tokenizers, setup: Setup[Any]
) -> PackedFeatures:
    """Encode each text, or each pair with special tokens.

    Args:
        examples: the texts.
        targets: target of each of them, an array or a list.
        tokenizers: the tokenizers of the run.
        setup: configuration and resolved facts.
    """
    batches = (_encoded(examples[start : start + N_AT_ONCE], tokenizers, setup)
               for start in range(0, len(examples), N_AT_ONCE))
    return PackedFeatures.of(batches, targets, [example.where for example in examples])


def _encoded(examples: Sequence[TextOrPair], tokenizers: Tokenizers, setup: Setup[Any]) -> list[EncodedText]:
    limit, n_types = setup.data.max_length, setup.model.token_types
    first = tokenizers.source.encode([example.text for example in examples], max_length=limit)
    if n_types:
        second = tokenizers.source.encode([example.text_b for example in examples], max_length=limit)
        pairs = [shortened(one, other, max(2, limit - 3)) for one, other in zip(first, second, strict=True)]
        return [(framed(*pair), token_types_of(*pair) % n_types) for pair in pairs]
    if setup.model.pooling == "cls" or setup.data.add_special_tokens:
        return [(framed(ids[: max(1, limit - 2)]), None) for ids in first]
    return [(ids, None) for ids in first]


def model_outputs(model: nn.Module, prepared: Prepared[Any], progress: Progress = silent) -> Tensor:
    """Compute the output of the model for each example. *Shape:* ``(n, n_outputs)``, float32."""
    return torch.stack(outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                               progress=progress))


def joined(example: TextOrPair) -> str:
    """Return both texts of an example as one."""
    return f"{example.text} {example.text_b}".strip() if example.text_b else example.text.strip()


def shown(example: TextOrPair) -> str:
    """Return the texts of an example, separated by a tab."""
    return "\t".join(text for text in (example.text, example.text_b) if text)
