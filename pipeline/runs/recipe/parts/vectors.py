"""Word vectors for the language of the texts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

from embeddings.specification import sources
from embeddings.table.listing import shortened
from pipeline.config import AUTO_SOURCE, DEFAULT_SOURCE, RunConfig
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.recipe.part import Part, Verdict, part

ENGLISH = "en"
GLOVE = ("glove,dim=100", DEFAULT_SOURCE)  # of which the first installed one is used
MIN_UNLABELLED = 200  # unlabelled texts on which training Word2Vec begins to add to GloVe
MIN_RATIO = 2         # of unlabelled to labelled texts
SIZES = "sm md lg"    # of spaCy pipelines, the smallest first


@part("vectors")
class Vectors(Part):
    """Installed vectors of the language, and vectors trained on the texts.

    For English GloVe, of 100 dimensions if they are installed, with Word2Vec beside it if there are many unlabelled
    texts; for other languages FastText, which has vectors for inflected and misspelt words. The vectors of an installed
    spaCy pipeline are added.
    """

    help: ClassVar[str] = "choose the source of the word vectors"
    order: ClassVar[int] = 0

    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Use the part if no source is configured."""
        if config.source != AUTO_SOURCE:
            return Verdict(False, f"{shortened(config.source)} as configured")
        return Verdict(True, _choice(facts)[1])

    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the source."""
        return {"source": _choice(facts)[0]}


def _choice(facts: Facts) -> tuple[str, str]:
    """Return the source and the reason."""
    if facts.has_target:
        return DEFAULT_SOURCE, "two languages"
    installed = (name for name in GLOVE if sources.parse(name).files()) if facts.language in ("", ENGLISH) else ()
    names = list(islice(installed, 1))
    if pipeline := _installed_pipeline(facts.language or ENGLISH):
        names.append(f"spacy:{pipeline}")
    has_many = facts.n_unlabelled >= max(MIN_UNLABELLED, MIN_RATIO * facts.n_labelled)
    reasons = [facts.language_name]
    if not names or facts.language not in ("", ENGLISH):
        names.append("fasttext")
        reasons.append("trained on the texts")
    elif has_many:
        names.append("word2vec")
        reasons.append(f"{facts.n_unlabelled:,} unlabelled texts")
    return "+".join(names), ", ".join(reasons)


def _installed_pipeline(language: str) -> str:
    """Return the name of the installed spaCy pipeline of a language with the most vectors; "" for none."""
    from embeddings.formats.spacy_pipelines import installed_pipelines

    found = [name for name in installed_pipelines() if name.startswith(f"{language}_")]
    return max(found, key=lambda name: (SIZES.find(name[-2:]), name), default="")
