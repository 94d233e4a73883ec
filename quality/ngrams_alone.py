"""Measure logistic regression on three kinds of n-grams, on the dev and the test texts of a data set.

usage: python quality/ngrams_alone.py FOLDER

Prints the accuracy in per cent on dev and on test, and the seconds that features and fit take: for n-grams of one or
two words; with n-grams of 2 to 5 characters as well; and with those within words only.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from pipeline.baselines.linear import tfidf_features
from pipeline.config import RunConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.tasks.text_input import joined

SETTINGS = {"C": 10, "max_iter": 300}


def kinds() -> dict[str, Any]:
    """Return the features by name."""
    made: dict[str, Any] = {"words": tfidf_features()}
    for analyzer in ("char", "char_wb"):
        characters = TfidfVectorizer(ngram_range=(2, 5), sublinear_tf=True, analyzer=analyzer)
        made[f"words and {analyzer}"] = make_union(tfidf_features(), characters)
    return made


def main(folder: str) -> None:
    """Print one line for each kind of n-grams."""
    splits = LabelledReader().read(RunConfig.from_mapping({"data": {"path": folder}}).data, seed=1)
    texts, labels = ([[get(example) for example in part] for part in (splits.train, splits.dev, splits.test)]
                     for get in (joined, lambda example: example.label))
    for name, features in kinds().items():
        began = time.perf_counter()
        model = make_pipeline(features, LogisticRegression(**SETTINGS)).fit(texts[0], labels[0])
        seconds = time.perf_counter() - began
        dev, test = (100 * model.score(texts[i], labels[i]) for i in (1, 2))
        print(f"{name:<18} dev {dev:.1f}  test {test:.1f}  {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
