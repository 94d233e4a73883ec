"""Weak position encodings, and word vectors of the same scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

SCALE = 0.1
MIN_TOKENS = 100


@part("positions")
class Positions(Part):
    """Position encodings that do not dominate the word vectors, for long texts, whose topic matters more than order.

    Sinusoidal encodings have a root mean square of 0.71, word vectors of about 0.05 to 0.5
    (``docs/findings/2026-11-23-scale-and-positions.md``).
    """

    help: ClassVar[str] = "scale position encodings and word vectors to 0.1"
    tasks: ClassVar[tuple[str, ...]] = ("classification", "multi-label", "regression")
    order: ClassVar[int] = 20

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part for long texts."""
        if config.init_from:
            return Verdict(False, f"as in {config.init_from}")
        if config.model.positions != "sinusoidal" or config.model.like:
            return Verdict(False, f"positions of {config.model.like or config.model.positions}")
        if facts.has_pairs:
            return Verdict(False, "pairs of texts")
        if facts.mean_tokens <= MIN_TOKENS:
            return Verdict(False, "short texts, whose word order matters")
        return Verdict(True, "long texts")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return both scales."""
        return {"model.position_scale": SCALE, "embedding.scale": f"match={SCALE}"}
