"""Word vectors for the language of the texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from embeddings.specification import sources
from pipeline.config import AUTO_SOURCE, DEFAULT_SOURCE, RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

ENGLISH = "en"
MIN_UNLABELLED = 200  # unlabelled texts on which training Word2Vec begins to add to GloVe
MIN_RATIO = 2         # of unlabelled to labelled texts


@part("vectors")
class Vectors(Part):
    """GloVe for English, with Word2Vec trained on unlabelled text beside it; FastText on the texts otherwise."""

    help: ClassVar[str] = "choose the source of the word vectors"
    order: ClassVar[int] = 0

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part if no source is configured."""
        if config.source != AUTO_SOURCE:
            return Verdict(False, f"{config.source} as configured")
        return Verdict(True, _choice(facts)[1])

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the source."""
        return {"source": _choice(facts)[0]}


def _choice(facts: Facts) -> tuple[str, str]:
    """Return the source and the reason."""
    if facts.has_target:
        return DEFAULT_SOURCE, "two languages"
    if facts.language not in ("", ENGLISH):
        return "fasttext", f"{facts.language_name}, trained on the texts"
    if not sources.parse(DEFAULT_SOURCE).files():
        return "fasttext", f"trained on the texts, because {DEFAULT_SOURCE} is not installed"
    if facts.n_unlabelled >= max(MIN_UNLABELLED, MIN_RATIO * facts.n_labelled):
        return f"{DEFAULT_SOURCE}+word2vec", f"{facts.language_name}, {facts.n_unlabelled:,} unlabelled texts"
    return DEFAULT_SOURCE, facts.language_name
