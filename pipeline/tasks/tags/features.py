"""Features of the words of a sentence, hashed to the columns of a sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.tagging import shape

LONGEST_AFFIX = 4
WINDOW = (-2, -1, 1, 2)  # positions of the neighbours
BEFORE, AFTER = "<s>", "</s>"

Sparse = Any
"""A ``scipy.sparse.csr_matrix``."""


def word_features(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield the features of each word of a sentence.

    The word as written and in lower case, its shape with and without runs of a class, its prefixes and suffixes of 1 to
    4 characters, the two words and shapes on either side, the pairs with its neighbours, and the shapes of all three.

    Args:
        words: the words as written; folding case would remove the shapes.
    """
    lower = [BEFORE, BEFORE, *(word.lower() for word in words), AFTER, AFTER]
    shapes = [BEFORE, BEFORE, *map(shape, words), AFTER, AFTER]
    for i, word in enumerate(words, start=2):
        own = lower[i]
        named = {"word": word, "lower": own, "shape": shapes[i], "pattern": pattern(word)}
        named |= {f"prefix{n}": own[:n] for n in range(1, min(LONGEST_AFFIX, len(own)) + 1)}
        named |= {f"suffix{n}": own[-n:] for n in range(1, min(LONGEST_AFFIX, len(own)) + 1)}
        named |= {f"lower{d:+}": lower[i + d] for d in WINDOW} | {f"shape{d:+}": shapes[i + d] for d in WINDOW}
        named |= {"pair-1": f"{lower[i - 1]} {own}", "pair+1": f"{own} {lower[i + 1]}",
                  "shapes": " ".join(shapes[i - 1:i + 2])}
        yield [f"{name}={value}" for name, value in named.items()]


def pattern(word: str) -> str:
    """Return the character classes of a word, one for each character.

    Example:
        >>> pattern("McDonald's"), pattern("B-52")
        ("AaAaaaaa'a", 'A-00')
    """
    return "".join("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)


def hashed_features(sentences: Sequence[Sequence[str]], buckets: int) -> Sparse:
    """Count the features of all words in buckets.

    Args:
        sentences: the words of each sentence.
        buckets: number of buckets.

    Returns:
        One row for each word, sentence after sentence. *Shape:* ``(n_words, buckets)``, float32.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction import FeatureHasher

    if not any(map(len, sentences)):  # which the hasher does not accept
        return csr_matrix((0, buckets), dtype=np.float32)
    hasher = FeatureHasher(buckets, input_type="string", alternate_sign=False, dtype=np.float32)
    return hasher.transform(_encodable(features) for words in sentences for features in word_features(words))


def hashed_names(features: Sequence[str], buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each feature. *Shape:* ``(n_features,)``, int64."""
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(buckets, input_type="string", alternate_sign=False, dtype=np.float32)
    found: NDArray[np.int64] = hasher.transform([name] for name in _encodable(features)).indices.astype(np.int64)
    return found


def _encodable(features: Sequence[str]) -> list[str]:
    """Replace lone surrogates, which UTF-8, from which the buckets are computed, does not have."""
    return [feature.encode("utf-8", "replace").decode("utf-8") for feature in features]
