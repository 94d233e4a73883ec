"""TF-IDF with logistic regression."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from pipeline.baselines.linear import SAGA, fitted, fitting, require_fit_memory, tfidf_chars_features
from pipeline.baselines.selection import require_memory
from pipeline.benchmark.rivals.base import Predict, Training, rival


@rival("tfidf")
@dataclass(frozen=True)
class TfIdf:
    """Logistic regression on TF-IDF of words, pairs of words and 2 to 5 characters.

    The regularisation is selected by stratified cross-validation on the training examples. With more than ``max_cv``
    of them, or with fewer than ``folds`` examples of a label, it is the middle one of the values.

    Attributes:
        values: values of C to select from.
        folds: number of folds.
        max_cv: largest number of training examples for which C is selected.
    """

    description: ClassVar[str] = "TF-IDF of words and characters with logistic regression"
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    values: tuple[float, ...] = (1.0, 10.0, 100.0)
    folds: int = 3
    max_cv: int = 1_000

    def fit(self, training: Training) -> Predict:
        """Train the model; see :class:`~pipeline.benchmark.rivals.base.Rival`."""
        features = tfidf_chars_features()
        require_memory(features.bytes_for(training.texts), f"{len(training.texts):,} training texts", training.max_gb)
        with fitting():
            vectors = features.fit_transform(training.texts)
            require_fit_memory(vectors, len(set(training.labels)), 0, training.max_gb)
            model = fitted(vectors, training.labels, C=self._regularisation(training), random_state=training.seed,
                           **SAGA)
        return lambda texts: list(map(str, model.predict(features.transform(texts))))

    def _regularisation(self, training: Training) -> float:
        """Return the value of C with the best mean accuracy over the folds, the smallest of equal ones."""
        import numpy as np
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_score
        from sklearn.pipeline import make_pipeline

        default = self.values[len(self.values) // 2]
        if len(training.labels) > self.max_cv or min(Counter(training.labels).values()) < self.folds:
            return default
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=training.seed)
        labels = np.asarray(training.labels, dtype=object)
        scores = [cross_val_score(make_pipeline(tfidf_chars_features(), LogisticRegression(
            C=value, random_state=training.seed, **SAGA)), list(training.texts), labels, cv=folds).mean()
            for value in self.values]
        return self.values[int(np.argmax(scores))]
