"""BLEU and chrF by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def translation_measures(references: Sequence[str], guesses: Sequence[str]) -> dict[str, Any]:
    """Corpus BLEU (Papineni et al. 2002) and chrF (Popović 2015), as sacrebleu defines them (Post 2018).

    Args:
        references: the right translation of each text, as it is usually written (not cut into words).
        guesses: the predicted ones, written likewise.

    Returns:
        ``bleu`` and ``chrf``, 0 to 100; ``n``; and ``bleu_signature`` and ``chrf_signature``, which say how they were
        computed and make them comparable with what others publish.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(tokenize="13a"), CHRF()
    return {
        "bleu": bleu.corpus_score(list(guesses), [list(references)]).score,
        "chrf": chrf.corpus_score(list(guesses), [list(references)]).score,
        "n": len(references),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def sentence_chrf(reference: str, guess: str) -> float:
    """The chrF of one text, 0 to 1."""
    return float(_chrf().sentence_score(guess, [reference]).score) / 100


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
