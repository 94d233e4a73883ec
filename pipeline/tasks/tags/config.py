"""The configuration of tagging: section ``[tagging]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transformer.config import option, require

MAX_BUCKETS = 2**22


@dataclass(frozen=True)
class TaggingConfig:
    """Features of words next to the Transformer, and the choice of the tags of a sentence by their scores."""

    features: bool = option(False, "combine the Transformer with logistic regression on words, their prefixes, "
                                   "suffixes and shapes, and their neighbours")
    regularization: float = option(1.0, "inverse of the strength of the regularisation of this logistic regression (C "
                                        "of scikit-learn's LogisticRegression), above 0")
    buckets: int = option(0, "number of buckets that the features are hashed to, a power of two; 0 chooses it from the "
                             "number of tokens and of tags")
    decoding: Literal["independent", "constrained"] = option(
        "independent", "independent: the most probable tag of each token, with I- corrected to B- where no entity "
        "precedes; constrained: the most probable valid sequence of tags")
    tune_outside: bool = option(False, "reduce the score of the tag O by the amount that has the highest F1 on dev (1 "
                                       "without a dev set)")

    def __post_init__(self) -> None:
        require(self.regularization > 0, f"tagging.regularization must be above 0, not {self.regularization}")
        require(self.buckets == 0 or (2 <= self.buckets <= MAX_BUCKETS and not self.buckets & (self.buckets - 1)),
                f"tagging.buckets must be 0 or a power of two from 2 to {MAX_BUCKETS}, not {self.buckets}")
