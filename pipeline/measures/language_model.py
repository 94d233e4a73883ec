"""How surprised a language model is by a text."""

from __future__ import annotations

import math

from pipeline.errors import DataError


def perplexity(nll: float, n: int) -> float:
    """``exp(nll / n)``: among how many equally likely tokens the model chooses, so to say; inf where that overflows.

    Args:
        nll: the sum of the tokens' negative log-probabilities, in nats.
        n: how many tokens that are.

    Raises:
        DataError: if there are none.
    """
    try:
        return math.exp(_mean(nll, n))
    except OverflowError:
        return math.inf


def bits_per(nll: float, n: int) -> float:
    """Bits per character or word of the text, whatever ``n`` counts; comparable between models that cut it differently.

    Args:
        nll: the sum of the tokens' negative log-probabilities, in nats.
        n: how many characters, or words, the text has.

    Raises:
        DataError: if there are none.
    """
    return _mean(nll, n) / math.log(2)


def _mean(nll: float, n: int) -> float:
    if n <= 0:
        raise DataError("there is no text to measure a language model on; give one with at least one token")
    return nll / n
