"""Features of words and valid sequences of tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pipeline.config import RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

DROPOUT = 0.3


@part("tagging")
class Tagging(Part):
    """Case, affixes and shapes mark names that a model of lower-case words does not see.

    On WNUT-17 the three keys of tagging raise the F1 of the dev set from 0.365 to 0.446 (``docs/tasks/tagging.md``),
    and more dropout with convolutions from 0.442 to 0.464 (``docs/findings/2026-11-30-accuracy.md``).
    """

    help: ClassVar[str] = "combine the Transformer with features of words, and decode valid sequences of tags"
    tasks: ClassVar[tuple[str, ...]] = ("tagging",)
    order: ClassVar[int] = 40

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part for tagging."""
        if config.model.like:
            return Verdict(False, f"model.like={config.model.like} has none")
        return Verdict(True, "case, affixes and shapes of words mark names")

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Switch on features, constrained decoding, and the penalty of the tag O that is tuned on dev; more dropout."""
        return {"tagging.features": True, "tagging.decoding": "constrained", "tagging.tune_outside": True,
                "model.dropout": DROPOUT}
