"""Measure logistic regression on three kinds of n-grams, on the dev and the test texts of a data set.

usage: python quality/ngrams_alone.py FOLDER

Prints the accuracy in per cent on dev and on test, and the seconds that features and fit take: for n-grams of one or
two words; with n-grams of 2 to 5 characters as well; with those within words only; and for these, the regression of the
n-gram branch, which weights n-grams by relevance and chooses the regularisation.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from pipeline.baselines.linear import fitting, tfidf_chars_features, tfidf_features
from pipeline.config import RunConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.tasks.ngrams.regression import Regression
from pipeline.tasks.text_input import joined

SETTINGS = {"C": 10, "max_iter": 300}


def kinds() -> dict[str, Any]:
    """Return the features by name."""
    made: dict[str, Any] = {"words": tfidf_features()}
    for analyzer in ("char", "char_wb"):
        characters = TfidfVectorizer(ngram_range=(2, 5), sublinear_tf=True, analyzer=analyzer)
        made[f"words and {analyzer}"] = make_union(tfidf_features(), characters)
    return made


class Branch:
    """The regression of the n-gram branch, with the interface of a classifier of scikit-learn."""

    def fit(self, texts: list[str], labels: list[str]) -> Branch:
        """Fit the regression, and choose C."""
        self.features = tfidf_chars_features()
        rows = self.features.fit_transform(texts).tocsr()
        self.labels, gold = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
        regression = Regression(np.ones(len(self.labels)), 0.0, seed=1)
        with fitting():
            self.regularization = regression.chosen(rows, gold)
            self.weight, self.bias = Regression(regression.label_weights, self.regularization, seed=1).fit(rows, gold)
        return self

    def score(self, texts: list[str], labels: list[str]) -> float:
        """Return the accuracy."""
        scores = self.features.transform(texts) @ self.weight + self.bias                   # (n_texts, n_labels)
        return float((self.labels[scores.argmax(axis=1)] == np.asarray(labels, dtype=object)).mean())


def main(folder: str) -> None:
    """Print one line for each kind of n-grams."""
    splits = LabelledReader().read(RunConfig.from_mapping({"data": {"path": folder}}).data, seed=1)
    texts, labels = ([[get(example) for example in part] for part in (splits.train, splits.dev, splits.test)]
                     for get in (joined, lambda example: example.label))
    models: dict[str, Any] = {name: make_pipeline(features, LogisticRegression(**SETTINGS))
                              for name, features in kinds().items()}
    for name, model in {**models, "branch": Branch()}.items():
        began = time.perf_counter()
        model.fit(texts[0], labels[0])
        seconds = time.perf_counter() - began
        dev, test = (100 * model.score(texts[i], labels[i]) for i in (1, 2))
        chosen = f"  C = {model.regularization:g}" if isinstance(model, Branch) else ""
        print(f"{name:<18} dev {dev:.1f}  test {test:.1f}  {seconds:.1f} s{chosen}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
