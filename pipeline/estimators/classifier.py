"""``VecformerClassifier``: a run as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from pipeline.data.examples import Example, Splits
from pipeline.data.given_texts import checked_texts
from pipeline.errors import DataError
from pipeline.estimators.fitted import FittedRun
from pipeline.estimators.parameters import configuration, seed_of
from pipeline.estimators.targets import Targets, checked_targets, class_weights, codes_of, require_classes
from pipeline.tasks import base

TASK = "classification"


class VecformerClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classify texts with a Transformer that is initialised with word vectors.

    ``fit`` runs the chain of ``vecformer run`` on texts in memory: it chooses the recipe, loads or trains the word
    vectors, and trains the Transformer. No test set is held out; if there are enough texts, a part of them is held
    out to select the best epoch (``data.dev_share``). Weights of single texts (``sample_weight``) are not supported.

    A pickle contains the files of the run folder, such as the weights as safetensors, and no pickled module.

    Args:
        source: source of the word vectors, such as ``"random"``, ``"glove"`` or ``"file:vectors.txt"``; ``"auto"``:
            the recipe chooses.
        recipe: parts that are chosen from the data: ``"auto"``, ``"plain"`` for none, or ``"auto,-ngrams"``.
        epochs: maximum number of epochs; None for about 1000 steps.
        class_weight: weights of the labels in the loss: None; ``"balanced"``; or a mapping of labels to weights.
        random_state: seed of all random numbers: an integer; a ``RandomState`` or None for a random seed.
        settings: further keys of the configuration: ``{"model.d_model": 64}``.
        out: run folder to create, which is kept; None for a temporary one, which is deleted with the estimator.
        overwrite: replace an existing run at ``out``.
        verbose: show progress bars and log messages.

    Attributes:
        classes_: the labels in their own type, sorted.
        run_: the finished run: its ``path``, ``trained`` (:class:`~pipeline.runs.trained.TrainedRun`) and ``metrics``.
        seed_: the seed.

    Example:
        >>> from vecformer import VecformerClassifier
        >>> classifier = VecformerClassifier(source="random", recipe="plain", epochs=1)
        >>> texts = ["the parcel is late", "the invoice is wrong"] * 5
        >>> classifier.fit(texts, ["delivery", "billing"] * 5).predict_proba(["my parcel"]).shape
        (1, 2)
    """

    def __init__(
        self, source: str | Path = "auto", *, recipe: str = "auto", epochs: int | None = None,
        class_weight: str | Mapping[Any, float] | None = None, random_state: Any = 1,
        settings: Mapping[str, Any] | None = None, out: str | Path | None = None, overwrite: bool = False,
        verbose: bool = False,
    ) -> None:
        self.source = source
        self.recipe = recipe
        self.epochs = epochs
        self.class_weight = class_weight
        self.random_state = random_state
        self.settings = settings
        self.out = out
        self.overwrite = overwrite
        self.verbose = verbose

    def fit(
        self, X: Iterable[str], y: Any, *, unlabelled: Iterable[str] = (),
        validation: tuple[Iterable[str], Any] | None = None,
    ) -> Self:
        """Train.

        Args:
            X: texts. *Shape:* ``(n_texts,)``.
            y: their labels. *Shape:* ``(n_texts,)``.
            unlabelled: further texts, for word vectors, pretraining and self-training.
            validation: texts and labels that select the best epoch, instead of a part of ``X``.

        Raises:
            TextsError: if ``X`` is one string, or an element is not a string; the message has its position.
            DataError: if there is not one label for each text, or all labels are equal.
            PipelineError, EmbeddingError: if a parameter is invalid.
        """
        texts = checked_texts(X, "X")
        if not texts:
            raise DataError("X has no texts")
        targets = checked_targets(y, len(texts))
        require_classes(targets)
        train = _examples(texts, targets.codes, targets, "X")
        dev: tuple[Example, ...] = ()
        if validation is not None:
            dev = _validation_examples(validation, targets)
        further = tuple(checked_texts(unlabelled, "unlabelled"))
        seed = seed_of(self.random_state)
        config = configuration(TASK, {
            "source": ("source", str(self.source)), "recipe": ("recipe", self.recipe),
            "epochs": ("training.epochs", self.epochs), "random_state": ("seed", seed),
            "class_weight": ("training.class_weights", class_weights(self.class_weight, targets)),
        }, self.settings)
        splits = base.find(TASK).reader.divide(Splits("the texts", train, dev, (), further), config.data, seed=seed)
        self.run_ = FittedRun.train(config, splits, out=self.out, overwrite=self.overwrite, verbose=self.verbose)
        self.classes_, self.seed_ = targets.classes, seed
        return self

    def predict(self, X: Iterable[str]) -> NDArray[Any]:
        """Predict the most probable label of each text. *Shape:* ``(n_texts,)``, the type of ``classes_``.

        Raises:
            NotFittedError: if the estimator is not fitted.
            TextsError: if ``X`` is one string, or an element is not a string; the message has its position.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Iterable[str]) -> NDArray[np.float64]:
        """Compute the probability of each label. *Shape:* ``(n_texts, n_classes)``, in the order of ``classes_``.

        Raises:
            NotFittedError: if the estimator is not fitted.
            TextsError: if ``X`` is one string, or an element is not a string; the message has its position.
        """
        check_is_fitted(self)
        return self.run_.probabilities(checked_texts(X, "X"), tuple(map(str, self.classes_)))

    def save(self, out: str | Path) -> None:
        """Copy the run folder, for ``load_run`` and the commands of ``vecformer``.

        Raises:
            NotFittedError: if the estimator is not fitted.
            RunFolderError: if there is a folder already.
        """
        check_is_fitted(self)
        self.run_.copy_to(out)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags


def _examples(
    texts: list[str], codes: NDArray[np.int64], targets: Targets, name: str
) -> tuple[Example, ...]:
    return tuple(Example(text, targets.names[code], f"{name}[{i}]")
                 for i, (text, code) in enumerate(zip(texts, codes, strict=True)))


def _validation_examples(validation: Any, targets: Targets) -> tuple[Example, ...]:
    """Check the texts and labels of ``validation``.

    Raises:
        DataError: if they are not a pair, or a label is not one of the training labels.
    """
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise DataError("validation must be a pair of texts and labels: validation=(texts, labels)")
    texts = checked_texts(validation[0], "validation[0]")
    codes = codes_of(validation[1], len(texts), targets.classes, "validation[1]")
    return _examples(texts, codes, targets, "validation[0]")
