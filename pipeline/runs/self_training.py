"""Self-training: a linear teacher labels the unlabelled texts, and the run trains on them as well.

The teacher adds the log-probabilities of two logistic regressions, on TF-IDF of words and on means of word vectors. In
each round it labels the unlabelled texts, and the next round trains on a larger share of them, the most certain of each
label first (Yarowsky 1995, "Unsupervised word sense disambiguation rivaling supervised methods"). Cross-validation on
the labelled texts decides whether the labels are used: the teacher must be better with the unlabelled texts than
without.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.table.oov_policy import parse_policy
from pipeline.baselines import MeanVectors
from pipeline.baselines.linear import SAGA, fitted, fitting, tfidf_features
from pipeline.data.examples import Example, Splits
from pipeline.runs.context import RunContext
from pipeline.tasks.base import Task
from pipeline.tasks.resolved import SelfTrained, Setup
from pipeline.tasks.text_input import joined
from pipeline.word_vectors import StageOne

log = logging.getLogger("vecformer.data")

KEY = "self_training.rounds"
FOLDS = 5
MAX_CHECKED = 1000   # unlabelled texts of the teacher in cross-validation
MEANS: dict[str, Any] = {"C": 0.1, "tol": 1e-3, "max_iter": 500}
EPOCHS = 6           # of training on the labels of the teacher, unless a number is configured
SMALLEST = 1e-12     # probability of a label that the teacher has not seen


def self_train(
    setup: Setup[Any], task: Task[Any], splits: Splits[Any], stage_one: StageOne, context: RunContext
) -> tuple[Setup[Any], Splits[Any]]:
    """Label the unlabelled texts if the configuration asks for it and it does not hurt.

    Args:
        setup: configuration and resolved facts.
        task: the task.
        splits: the data.
        stage_one: vocabulary and vectors.
        context: progress and clock.

    Returns:
        The setup with an account of the self-training, and fewer epochs by default, since there are more examples;
        and the data with the newly labelled texts among the training examples. Both are unchanged if self-training is
        not configured.
    """
    config = setup.config.self_training
    if not config.rounds or KEY not in task.keys or not splits.unlabelled:
        return setup, splits
    random = np.random.default_rng(setup.config.seed)
    pool, rest = [str(text) for text in splits.unlabelled], list[str]()
    if len(pool) > config.max_texts:
        order = random.permutation(len(pool))
        pool, rest = ([pool[i] for i in np.sort(part)]
                      for part in np.split(order, [config.max_texts]))
    with context.clock("self-training"), fitting():
        teacher = _teacher(setup, splits.train, pool, stage_one)
        before, after = teacher.check(random, lambda share: context.progress("self-training", share))
        found = SelfTrained(n_texts=len(pool), accuracy_before=before, accuracy_after=after,
                            is_used=after >= before > 0)
        labels = teacher.label_pool() if found.is_used else []
    log.info("%s", found)
    names = setup.resolved.labels
    made = [Example(text, names[i], f"unlabelled text {row}")
            for row, (text, i) in enumerate(zip(pool, labels, strict=False), start=1)]
    setup = replace(setup, resolved=replace(setup.resolved, self_training=found))
    if not made:
        return setup, splits
    training = replace(setup.config.training, epochs=setup.config.training.epochs or EPOCHS)
    setup = replace(setup, config=replace(setup.config, training=training))
    return setup, replace(splits, train=(*splits.train, *made), unlabelled=tuple(rest))


@dataclass(frozen=True)
class Teacher:
    """Two logistic regressions, trained in rounds.

    Attributes:
        tfidf: TF-IDF of the labelled texts, then of the unlabelled ones. *Shape:* ``(n + n_pool, n_features)``.
        means: standardised means of their word vectors. *Shape:* ``(n + n_pool, dim)``, float32.
        gold: number of the label of each labelled text. *Shape:* ``(n,)``, int64.
        n_labels: number of labels.
        rounds: number of rounds.
        seed: seed of the solver.
    """

    tfidf: Any
    means: NDArray[np.float32]
    gold: NDArray[np.int64]
    n_labels: int
    rounds: int
    seed: int

    def label_pool(self) -> list[int]:
        """Label the unlabelled texts."""
        n = len(self.gold)
        pool = np.arange(n, len(self.means))
        _, last = self.predictions(np.arange(n), pool, pool)
        return last.argmax(axis=1).tolist()  # type: ignore[no-any-return]

    def check(self, random: np.random.Generator, progress: Any) -> tuple[float, float]:
        """Return the accuracy on held-out labelled texts without and with the unlabelled texts.

        Both are 0 if a label has only one text, so that nothing can be held out.
        """
        from sklearn.model_selection import StratifiedKFold

        n, smallest = len(self.gold), int(np.bincount(self.gold, minlength=self.n_labels).min())
        if smallest < 2:
            return 0.0, 0.0
        pool = n + random.permutation(len(self.means) - n)[:MAX_CHECKED]
        folds = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=self.seed)
        correct = np.zeros(2)
        for number, (train, held_out) in enumerate(folds.split(self.gold, self.gold), start=1):
            both = self.predictions(train, pool, held_out)
            correct += [(scores.argmax(axis=1) == self.gold[held_out]).sum() for scores in both]
            progress(number / folds.n_splits)
        return float(correct[0] / n), float(correct[1] / n)

    def predictions(
        self, train: NDArray[np.int64], pool: NDArray[np.int64], of: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of texts before and after self-training.

        Args:
            train: rows of the labelled texts.
            pool: rows of the unlabelled texts.
            of: rows of the texts to predict for.

        Returns:
            Two matrices of log-probabilities, up to a constant. *Shape:* ``(len(of), n_labels)``.
        """
        rows, labels = train, self.gold[train]
        scores = self._fit_and_score(rows, labels, np.concatenate([of, pool]))
        first = scores[: len(of)]
        for round_ in range(1, self.rounds + 1):
            guessed, chosen = _most_certain(scores[len(of):], round_ / self.rounds)
            rows, labels = np.concatenate([train, pool[chosen]]), np.concatenate([self.gold[train], guessed[chosen]])
            scores = self._fit_and_score(rows, labels, np.concatenate([of, pool]))
        return first, scores[: len(of)]

    def _fit_and_score(
        self, rows: NDArray[np.int64], labels: NDArray[np.int64], of: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        models = (fitted(self.tfidf[rows], labels, C=10, random_state=self.seed, **SAGA),
                  fitted(self.means[rows], labels, **MEANS))
        total = np.zeros((len(of), self.n_labels))
        for model, features in zip(models, (self.tfidf, self.means), strict=True):
            probabilities = np.zeros_like(total)
            probabilities[:, model.classes_] = model.predict_proba(features[of])
            total += np.log(np.maximum(probabilities, SMALLEST))
        return total


def _teacher(setup: Setup[Any], train: Sequence[Any], pool: Sequence[str], stage_one: StageOne) -> Teacher:
    from sklearn.preprocessing import StandardScaler

    texts = [*(joined(example) for example in train), *pool]
    number = {label: i for i, label in enumerate(setup.resolved.labels)}
    means = MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
    return Teacher(
        tfidf=tfidf_features(min_df=2).fit_transform(texts),
        means=StandardScaler().fit_transform(means(texts)),
        gold=np.array([number[example.label] for example in train]),
        n_labels=len(number),
        rounds=setup.config.self_training.rounds,
        seed=setup.config.seed,
    )


def _most_certain(scores: NDArray[np.float64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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
