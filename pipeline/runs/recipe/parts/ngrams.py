"""Logistic regression on n-grams beside the Transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part
from pipeline.runs.start.from_checkpoint import FEW, has_few_labels
from pipeline.runs.start.point import is_pretrained

MAX_PRETRAINED = 1000  # labelled texts per label up to which n-grams add to a pretrained Transformer


@part("ngrams")
class Ngrams(Part):
    """The n-grams hold what a small Transformer does not see: exact words, affixes and pairs of words.

    A pretrained Transformer sees most of it: n-grams add a little with some hundred labelled texts per label, and make
    it worse with fewer or with more (``docs/findings/2026-12-01-pretrained.md``).
    """

    help: ClassVar[str] = "combine the Transformer with logistic regression on n-grams of words and characters"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    order: ClassVar[int] = 40

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part to classify single texts."""
        if config.model.like:
            return Verdict(False, f"model.like={config.model.like} has none")
        if facts.has_pairs:
            return Verdict(False, "pairs of texts")
        if is_pretrained(config):
            if has_few_labels(facts):
                return Verdict(False, f"at most {FEW} labelled texts per label")
            if facts.n_labelled > MAX_PRETRAINED * facts.n_labels:
                return Verdict(False, "many labels and a pretrained Transformer")
        return Verdict(True, "their errors differ from those of the Transformer")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Switch the branch on."""
        return {"ngrams.enabled": True}
