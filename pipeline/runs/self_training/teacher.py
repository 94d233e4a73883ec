"""A linear teacher: logistic regressions on views of the texts, trained in rounds on their own labels as well.

In each round the teacher labels the unlabelled texts, and the next round trains on a larger share of them, the most
certain of each label first (Yarowsky 1995, "Unsupervised word sense disambiguation rivaling supervised methods"). The
labels before the first round are those of the teacher, trained on the labelled texts, or of clusters of the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.linear import fitted
from pipeline.runs.self_training.clusters import SMALLEST, cluster_scores

FOLDS = 5
MAX_CHECKED = 1000   # unlabelled texts of the teacher in cross-validation
MAX_ERROR = 0.6      # share of the errors of always guessing the most frequent label that a teacher may make

Start = Literal["labels", "clusters"]
"""What the first labels of the unlabelled texts come from."""


@dataclass(frozen=True)
class View:
    """Features of the texts, and the logistic regression on them.

    Attributes:
        features: features of the labelled texts, then of the unlabelled ones. *Shape:* ``(n + n_pool, n_features)``.
        settings: arguments of :class:`sklearn.linear_model.LogisticRegression`.
        in_rounds: arguments that replace them when unlabelled texts are among the training texts.
        concentration: of the clusters of these features, which have length 1
            (:mod:`pipeline.runs.self_training.clusters`); None for no clusters.
    """

    features: Any
    settings: Mapping[str, Any]
    in_rounds: Mapping[str, Any] = field(default_factory=dict)
    concentration: float | None = None


@dataclass(frozen=True)
class Check:
    """Accuracy of a teacher on held-out labelled texts.

    Attributes:
        before: accuracy of the teacher that is trained on labelled texts only.
        after: the same with the unlabelled texts, for each start.
        most_frequent: share of the most frequent label.
    """

    before: float
    after: Mapping[Start, float]
    most_frequent: float

    @property
    def best(self) -> Start:
        """The start with the highest accuracy; clusters if both have the same."""
        return max(reversed(list(self.after.items())), key=lambda item: item[1])[0]

    @property
    def helps(self) -> bool:
        """Whether the unlabelled texts do not hurt, and the teacher avoids enough of the errors of guessing."""
        accuracy = self.after[self.best]
        return accuracy >= self.before > 0 and 1 - accuracy <= MAX_ERROR * (1 - self.most_frequent)


@dataclass(frozen=True)
class Teacher:
    """A logistic regression on each view, whose log-probabilities are added.

    Attributes:
        views: the views of the texts.
        gold: number of the label of each labelled text. *Shape:* ``(n,)``, int64.
        n_pool: number of unlabelled texts.
        n_labels: number of labels.
        rounds: number of rounds.
        seed: seed of the folds.
    """

    views: Sequence[View]
    gold: NDArray[np.int64]
    n_pool: int
    n_labels: int
    rounds: int
    seed: int

    @property
    def starts(self) -> tuple[Start, ...]:
        """The starts that are possible."""
        return ("labels", "clusters") if self._clustered else ("labels",)

    @property
    def _clustered(self) -> list[View]:
        return [view for view in self.views if view.concentration is not None]

    def label_pool(self, start: Start) -> list[int]:
        """Label the unlabelled texts."""
        n = len(self.gold)
        pool = np.arange(n, n + self.n_pool)
        _, last = self.predictions(np.arange(n), pool, pool, start)
        return last.argmax(axis=1).tolist()  # type: ignore[no-any-return]

    def check(self, random: np.random.Generator, progress: Callable[[float], object]) -> Check:
        """Measure the accuracy by cross-validation on the labelled texts.

        It is 0 if a label has only one text, so that nothing can be held out.

        Args:
            random: draws the unlabelled texts of the check.
            progress: is called with the share that is done.
        """
        from sklearn.model_selection import StratifiedKFold

        n, counts = len(self.gold), np.bincount(self.gold, minlength=self.n_labels)
        most_frequent = float(counts.max() / n)
        if counts.min() < 2:
            return Check(0.0, dict.fromkeys(self.starts, 0.0), most_frequent)
        pool = n + random.permutation(self.n_pool)[:MAX_CHECKED]
        folds = StratifiedKFold(min(FOLDS, int(counts.min())), shuffle=True, random_state=self.seed)
        before, after = 0, dict.fromkeys(self.starts, 0)
        for number, (train, held_out) in enumerate(folds.split(self.gold, self.gold), start=1):
            for start in self.starts:
                first, last = self.predictions(train, pool, held_out, start)
                after[start] += int((last.argmax(axis=1) == self.gold[held_out]).sum())
            before += int((first.argmax(axis=1) == self.gold[held_out]).sum())
            progress(number / folds.n_splits)
        return Check(before / n, {start: correct / n for start, correct in after.items()}, most_frequent)

    def predictions(
        self, train: NDArray[np.int64], pool: NDArray[np.int64], of: NDArray[np.int64], start: Start
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of texts before and after self-training.

        Args:
            train: rows of the labelled texts.
            pool: rows of the unlabelled texts.
            of: rows of the texts to predict for.
            start: what the first labels of the unlabelled texts come from.

        Returns:
            Two matrices of log-probabilities, up to a constant. *Shape:* ``(len(of), n_labels)``.
        """
        wanted = np.concatenate([of, pool])
        scores = self._fit_and_score(train, self.gold[train], wanted, in_rounds=False)
        first, of_pool = scores[: len(of)], scores[len(of):]
        if start == "clusters":
            of_pool = self._cluster_scores(train, pool)
        for round_ in range(1, self.rounds + 1):
            guessed, chosen = most_certain(of_pool, round_ / self.rounds)
            rows, labels = np.concatenate([train, pool[chosen]]), np.concatenate([self.gold[train], guessed[chosen]])
            scores = self._fit_and_score(rows, labels, wanted, in_rounds=True)
            of_pool = scores[len(of):]
        return first, scores[: len(of)]

    def _fit_and_score(
        self, rows: NDArray[np.int64], labels: NDArray[np.int64], of: NDArray[np.int64], *, in_rounds: bool
    ) -> NDArray[np.float64]:
        total = np.zeros((len(of), self.n_labels))
        for view in self.views:
            model = fitted(view.features[rows], labels, **{**view.settings, **(view.in_rounds if in_rounds else {})})
            probabilities = np.zeros_like(total)
            probabilities[:, model.classes_] = model.predict_proba(view.features[of])
            total += np.log(np.maximum(probabilities, SMALLEST))
        return total

    def _cluster_scores(self, train: NDArray[np.int64], pool: NDArray[np.int64]) -> NDArray[np.float64]:
        return sum((cluster_scores(view.features[train], self.gold[train], view.features[pool],
                                   n_labels=self.n_labels, concentration=float(view.concentration or 0))
                    for view in self._clustered), np.zeros((len(pool), self.n_labels)))


def most_certain(scores: NDArray[np.float64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the label of each row, and the rows of this share of each label that are the most certain."""
    guessed = scores.argmax(axis=1)
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    certainty = 1 / shifted.sum(axis=1)
    chosen = []
    for label in np.unique(guessed):
        of_label = np.flatnonzero(guessed == label)
        order = np.argsort(-certainty[of_label], kind="stable")
        chosen.append(of_label[order[: int(np.ceil(share * len(of_label)))]])
    return guessed, np.sort(np.concatenate(chosen))
