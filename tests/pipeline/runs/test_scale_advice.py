"""The warning about word vectors that are much smaller than the position encodings."""

from __future__ import annotations

import numpy as np
import pytest

from embeddings.table import EmbeddingTable
from pipeline.config import RunConfig
from pipeline.runs.scale_advice import POSITIONS, scale_advice
from transformer.layers.positions import sinusoids


def table(std: float) -> EmbeddingTable:
    vectors = np.random.default_rng(1).normal(scale=std, size=(200, 50)).astype(np.float32)
    return EmbeddingTable.known([f"w{i}" for i in range(200)], vectors, "made")


def test_the_root_mean_square_is_that_of_the_encoding() -> None:
    assert float(sinusoids(100, 64).square().mean().sqrt()) == pytest.approx(POSITIONS, rel=1e-3)


@pytest.mark.parametrize(("std", "settings", "is_warned"), [
    (0.7, {}, False),
    (0.02, {}, True),
    (0.02, {"model": {"position_scale": 0.05}}, False),
    (0.02, {"embedding": {"scale": "unit"}}, False),
    (0.7, {"embedding": {"scale": "match=0.05"}}, True),
    (0.02, {"model": {"positions": "rotary"}}, False),
    (0.02, {"model": {"embedding_norm": True}}, False),
])
def test_small_vectors_are_reported(std: float, settings: dict[str, dict[str, object]], is_warned: bool) -> None:
    advice = scale_advice(RunConfig.from_mapping({"source": "random", **settings}), table(std))
    assert bool(advice) == is_warned
    if is_warned:
        assert ("--set embedding.scale=" in advice and "0.02" in advice) or "0.05" in advice
