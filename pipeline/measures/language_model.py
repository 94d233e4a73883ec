"""Measures of language models: perplexity and bits per word."""

from __future__ import annotations

import math

from pipeline.errors import DataError


def perplexity(nll: float, n: int) -> float:
    """Compute ``exp(nll / n)``; inf on overflow.

    Args:
        nll: sum of the negative log-probabilities of the tokens, in nats.
        n: number of tokens.

    Raises:
        DataError: if there are none.
    """
    try:
        return math.exp(_mean(nll, n))
    except OverflowError:
        return math.inf


def bits_per(nll: float, n: int) -> float:
    """Compute bits per character or word, comparable between models with different tokenisation.

    Args:
        nll: sum of the negative log-probabilities of the tokens, in nats.
        n: number of characters or words of the text.

    Raises:
        DataError: if there are none.
    """
    return _mean(nll, n) / math.log(2)


def _mean(nll: float, n: int) -> float:
    if n <= 0:
        raise DataError("the text has no token to evaluate a language model on; use one with at least one token")
    return nll / n
