"""``VecformerVectorizer``: a scikit-learn transformer from texts to vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from pipeline.data.examples import Example, Splits
from pipeline.data.given_texts import checked_texts
from pipeline.errors import ConfigError, DataError
from pipeline.estimators.encoder_vectors import encoder_vectors, require_encoder
from pipeline.estimators.fitted import FittedRun, FittedVectors
from pipeline.estimators.parameters import configuration, seed_of
from pipeline.runs.recipe.choose import setup_for
from pipeline.tasks import base

TASK = "masked-language-model"
MEAN, ENCODER = "mean", "encoder"


class VecformerVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Represent texts by vectors: means of word vectors, or outputs of a Transformer encoder.

    With ``vectors="mean"``, ``fit`` loads the word vectors, or trains them on the texts, and a text is the mean of the
    vectors of its words. With ``vectors="encoder"``, ``fit`` trains an encoder on the texts by masked language
    modelling, or takes that of a finished run, and a text is the mean of its outputs. Labels are not used.

    Args:
        source: source of the word vectors; ``"auto"``: the recipe chooses.
        vectors: ``"mean"`` or ``"encoder"``.
        run: folder of a finished run whose encoder is used, with ``vectors="encoder"``; None to train one.
        recipe: parts that are chosen from the data, as in :class:`~pipeline.estimators.classifier.VecformerClassifier`.
        epochs: maximum number of epochs of the encoder; None for about 1000 steps.
        random_state: seed of all random numbers: an integer; a ``RandomState`` or None for a random seed.
        settings: further keys of the configuration: ``{"transforms": ["all-but-the-top:2"]}``.
        verbose: show progress bars and log messages.

    Attributes:
        fitted_: the word vectors (``stage_one``), or the run (``trained``).
        seed_: the seed.

    Example:
        >>> from vecformer import VecformerVectorizer
        >>> VecformerVectorizer("word2vec,dim=8,min_count=1").fit_transform(["the parcel", "the invoice"]).shape
        (2, 8)
    """

    def __init__(
        self, source: str | Path = "auto", *, vectors: str = MEAN, run: str | Path | None = None,
        recipe: str = "auto", epochs: int | None = None, random_state: Any = 1,
        settings: Mapping[str, Any] | None = None, verbose: bool = False,
    ) -> None:
        self.source = source
        self.vectors = vectors
        self.run = run
        self.recipe = recipe
        self.epochs = epochs
        self.random_state = random_state
        self.settings = settings
        self.verbose = verbose

    def fit(self, X: Iterable[str], y: Any = None, *, unlabelled: Iterable[str] = ()) -> Self:
        """Load or train the vectors or the encoder.

        Args:
            X: texts. *Shape:* ``(n_texts,)``.
            y: not used.
            unlabelled: further texts to train on.

        Raises:
            TextsError: if ``X`` is one string, or an element is not a string; the message has its position.
            DataError: if there is no text, or none has a word.
            PipelineError, EmbeddingError: if a parameter is invalid.
        """
        if self.vectors not in (MEAN, ENCODER):
            raise ConfigError(f"vectors must be {MEAN!r} or {ENCODER!r}, not {self.vectors!r}")
        if self.run is not None and self.vectors != ENCODER:
            raise ConfigError(f"run={str(self.run)!r} needs vectors={ENCODER!r}, which uses its encoder")
        texts = checked_texts(X, "X")
        if not texts:
            raise DataError("X has no texts")
        further = checked_texts(unlabelled, "unlabelled")
        self.seed_ = seed_of(self.random_state)
        self.fitted_: FittedRun | FittedVectors
        if self.run is not None:
            fitted = FittedRun(Path(self.run), is_temporary=False)
            require_encoder(fitted.trained, str(self.run))
            self.fitted_ = fitted
        else:
            self.fitted_ = self._train(texts, further)
        self._n_features_out = self.fitted_.n_features
        return self

    def _train(self, texts: list[str], further: list[str]) -> FittedRun | FittedVectors:
        config = configuration(TASK, {
            "source": ("source", str(self.source)), "recipe": ("recipe", self.recipe),
            "epochs": ("training.epochs", self.epochs), "random_state": ("seed", self.seed_),
        }, self.settings)
        task = base.find(TASK)
        train = tuple(Example(text, "", f"X[{i}]") for i, text in enumerate(texts))
        splits = Splits("the texts", train, (), (), tuple(further))
        if self.vectors == ENCODER:
            divided = task.reader.divide(splits, config.data, seed=self.seed_)
            return FittedRun.train(config, divided, out=None, overwrite=False, verbose=self.verbose)
        chosen = setup_for(config, task, splits).config
        alone = replace(chosen, model=replace(chosen.model, positions="none"))  # no Transformer has positions here
        return FittedVectors.prepare(alone, texts, further, verbose=self.verbose)

    def transform(self, X: Iterable[str]) -> NDArray[np.float32]:
        """Compute the vector of each text. *Shape:* ``(n_texts, n_features)``, float32; zeros without a known word.

        Raises:
            NotFittedError: if the transformer is not fitted.
            TextsError: if ``X`` is one string, or an element is not a string; the message has its position.
        """
        check_is_fitted(self)
        texts, fitted = checked_texts(X, "X"), self.fitted_
        if isinstance(fitted, FittedVectors):
            return fitted.means(texts)
        with fitted.lock:
            return encoder_vectors(fitted.trained, texts)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags
