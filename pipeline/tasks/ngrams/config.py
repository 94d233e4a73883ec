"""The configuration of the n-gram branch: section ``[ngrams]``."""

from __future__ import annotations

from dataclasses import dataclass

from transformer.config import option, require

MAX_BUCKETS = 2**24


@dataclass(frozen=True)
class NgramConfig:
    """Logistic regression on n-grams, combined with the Transformer in a classifier."""

    enabled: bool = option(False, "combine the Transformer with logistic regression on n-grams of words and characters "
                                  "(classification)")
    words: int = option(2, "length of the longest n-gram of words, at least 1")
    characters: tuple[int, int] = option((2, 5), "lengths of the shortest and the longest n-gram of characters within "
                                                 "words, such as [2, 5]")
    regularization: float = option(0.0, "inverse of the strength of the regularisation (C of scikit-learn's "
                                        "LogisticRegression); 0 chooses 1, 3 or 10 by cross-validation")
    buckets: int = option(0, "number of buckets that the n-grams are hashed to, a power of two; 0 chooses it from the "
                             "number of distinct n-grams and of labels")
    refit: bool = option(True, "after training, fit the branch again to the training and dev texts together")

    def __post_init__(self) -> None:
        require(self.words >= 1, f"ngrams.words must be 1 or more, not {self.words}")
        shortest, longest = self.characters
        require(1 <= shortest <= longest, f"ngrams.characters must be two lengths, the shortest first and at least 1, "
                                          f"not {list(self.characters)}")
        require(self.regularization >= 0, f"ngrams.regularization must be 0 or more, not {self.regularization}")
        require(self.buckets == 0 or (2 <= self.buckets <= MAX_BUCKETS and not self.buckets & (self.buckets - 1)),
                f"ngrams.buckets must be 0 or a power of two from 2 to {MAX_BUCKETS}, not {self.buckets}")
