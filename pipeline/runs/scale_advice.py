"""A warning if the position encodings dominate the word vectors, to which they are added.

With GloVe scaled to a seventh of the positions, BBC News with 50 labels is at 58% where it is at 86% unscaled
(``docs/findings/2026-11-23-scale-and-positions.md``).
"""

from __future__ import annotations

import math

from embeddings.table import EmbeddingTable
from embeddings.table.arguments import setting
from pipeline.config import RunConfig
from transformer.layers.embedding import scale_factor

POSITIONS = math.sqrt(0.5)  # root mean square of sinusoidal encodings
MIN_RATIO = 0.25


def scale_advice(config: RunConfig, start: EmbeddingTable) -> str:
    """Return a message if the word vectors are much smaller than the position encodings; "" if they are not.

    Args:
        config: the configuration.
        start: the vectors of the training vocabulary.
    """
    model = config.model
    if model.positions != "sinusoidal" or model.embedding_norm or not len(start):
        return ""
    of_positions = POSITIONS * model.position_scale
    of_vectors = scale_factor(start, config.embedding) * start.spread
    if of_vectors >= MIN_RATIO * of_positions:
        return ""
    return (f"the position encodings dominate the word vectors of {config.source}: their root mean squares are "
            f"{of_positions:.2g} and {of_vectors:.2g}. Scale both equally, such as "
            f"{setting('embedding.scale=match=0.1')} {setting('model.position_scale=0.1')} where the order of words "
            f"matters little, or {setting('embedding.scale=unit')}")
