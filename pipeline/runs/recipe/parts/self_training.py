"""Labels for the unlabelled texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part
from pipeline.runs.start.from_checkpoint import FEW, has_few_labels
from pipeline.runs.start.point import is_pretrained

ROUNDS = 5
MAX_LABELLED = 1000
MIN_RATIO = 2  # of unlabelled to labelled texts


@part("self-training")
class SelfTraining(Part):
    """With few labels, the unlabelled texts show which words occur together; used if cross-validation confirms it."""

    help: ClassVar[str] = "label the unlabelled texts with a linear model and train on them, if that helps"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    order: ClassVar[int] = 30

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part with few labelled and more unlabelled texts."""
        if is_pretrained(config) and not has_few_labels(facts):
            return Verdict(False, f"more than {FEW} labelled texts per label, enough for a pretrained Transformer")
        if facts.has_pairs:
            return Verdict(False, "pairs of texts")
        if not facts.n_unlabelled:
            return Verdict(False, "no unlabelled text")
        if facts.n_labelled > MAX_LABELLED:
            return Verdict(False, f"more than {MAX_LABELLED:,} labelled texts")
        if facts.n_unlabelled < MIN_RATIO * facts.n_labelled:
            return Verdict(False, "few unlabelled texts")
        return Verdict(True, "few labelled and many unlabelled texts; cross-validation decides")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the number of rounds."""
        return {"self_training.rounds": ROUNDS}
