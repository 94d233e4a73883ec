"""Larger batches where there are very many texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

BATCH_SIZE = 64
MIN_LABELLED = 50_000


@part("batches")
class Batches(Part):
    """With tens of thousands of texts, an epoch of larger batches still has thousands of steps.

    They are as accurate on dev, and take less time (``docs/findings/2026-12-03-batches.md``).
    """

    help: ClassVar[str] = f"train with {BATCH_SIZE} texts per batch instead of 16"
    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    order: ClassVar[int] = 60

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part for very many texts."""
        if facts.n_labelled < MIN_LABELLED:
            return Verdict(False, f"fewer than {MIN_LABELLED:,} labelled texts")
        if config.init_from:
            return Verdict(False, "not measured from a checkpoint")
        if config.training.batch_tokens:
            return Verdict(False, "training.batch_tokens as configured")
        return Verdict(True, "very many texts")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the number of texts per batch."""
        return {"training.batch_size": BATCH_SIZE}
