"""Convolutions over neighbouring tokens (Kim 2014)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

MAX_TOKENS = 100


@part("convolutions")
class Convolutions(Part):
    """Convolutions before the first layer give a small Transformer the local word order of short texts."""

    help: ClassVar[str] = "add convolutions over 3 and 5 tokens before the first layer"
    tasks: ClassVar[tuple[str, ...]] = ("classification", "multi-label", "regression", "tagging")
    order: ClassVar[int] = 10

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part for short texts."""
        if config.init_from:
            return Verdict(False, f"as in {config.init_from}")
        if config.model.like:
            return Verdict(False, f"model.like={config.model.like} has none")
        if facts.has_pairs:
            return Verdict(False, "pairs of texts")
        if facts.mean_tokens > MAX_TOKENS:
            return Verdict(False, "long texts")
        return Verdict(True, "short texts")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the kernel widths."""
        return {"model.convolutions": (3, 5)}
