"""Logistic regression on n-grams beside the Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part


@part("ngrams")
class Ngrams(Part):
    """The n-grams hold what a small Transformer does not see: exact words, affixes and pairs of words."""

    help: ClassVar[str] = "combine the Transformer with logistic regression on n-grams of words and characters"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    order: ClassVar[int] = 40

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part to classify single texts."""
        if config.model.like:
            return Verdict(False, f"model.like={config.model.like} has none")
        if facts.has_pairs:
            return Verdict(False, "pairs of texts")
        return Verdict(True, "the two make different errors")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Switch the branch on."""
        return {"ngrams.enabled": True}
