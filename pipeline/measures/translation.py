"""Measures of translation: BLEU and chrF, with sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def translation_measures(references: Sequence[str], predictions: Sequence[str]) -> dict[str, Any]:
    """Compute corpus BLEU (Papineni et al. 2002) and chrF (Popović 2015) with sacrebleu (Post 2018).

    Args:
        references: reference translations, not tokenised.
        predictions: predicted translations, not tokenised.

    Returns:
        ``bleu`` and ``chrf``, 0 to 100; ``n``; and the signatures ``bleu_signature`` and ``chrf_signature``, which make
        the values comparable with published ones.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    bleu, chrf = BLEU(tokenize="13a"), CHRF()
    return {
        "bleu": bleu.corpus_score(list(predictions), [list(references)]).score,
        "chrf": chrf.corpus_score(list(predictions), [list(references)]).score,
        "n": len(references),
        "bleu_signature": str(bleu.get_signature()),
        "chrf_signature": str(chrf.get_signature()),
    }


def sentence_chrf(reference: str, prediction: str) -> float:
    """Compute the chrF of one text, 0 to 1."""
    return float(_chrf().sentence_score(prediction, [reference]).score) / 100


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
