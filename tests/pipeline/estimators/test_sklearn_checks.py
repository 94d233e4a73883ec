"""scikit-learn's own checks of estimators.

The checks pass arrays of numbers. A subclass in this file converts rows of numbers to texts, one word for each number;
everything else is the estimator itself.
"""

import warnings
from functools import partial

import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from pipeline.estimators.classifier import VecformerClassifier
from pipeline.estimators.vectorizer import VecformerVectorizer
from pipeline.runs import results

SMALL = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16, "dropout": 0.0},
         "embedding.scale": "unit", "training": {"lr": 0.01, "batch_size": 64}, "unknown": ["zero"]}

ARRAYS = "validation of arrays of numbers, which the subclass in this file does; test_texts.py is about texts"
EXCLUDED = {
    "check_complex_data": ARRAYS,
    "check_dtype_object": ARRAYS,
    "check_estimator_sparse_array": ARRAYS,
    "check_estimator_sparse_matrix": ARRAYS,
    "check_estimator_sparse_tag": ARRAYS,
    "check_estimators_dtypes": ARRAYS,
    "check_estimators_empty_data_messages": ARRAYS,
    "check_estimators_nan_inf": ARRAYS,
    "check_f_contiguous_array_estimator": ARRAYS,
    "check_fit1d": ARRAYS,
    "check_fit2d_predict1d": ARRAYS,
    "check_n_features_in": "n_features_in_ counts columns, of which texts have none; as CountVectorizer has none",
    "check_n_features_in_after_fitting": "as check_n_features_in",
    "check_array_api_input": "arrays of other libraries than NumPy cannot hold texts",
    "check_classifiers_one_label_sample_weights": "sample_weight is not supported",
}
"""Checks that do not apply to texts, and the reasons."""


class OnNumbers:
    """Rows of numbers as texts."""

    def fit(self, X, y=None):
        return super().fit(as_texts(validate_data(self, X, reset=True)), y)

    def _texts(self, X):
        check_is_fitted(self)
        return as_texts(validate_data(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = False
        tags.input_tags.string = False
        return tags


def as_texts(numbers):
    return [" ".join(f"{chr(97 + j % 26)}{round(2 * value)}" for j, value in enumerate(row)) for row in numbers]


class ClassifierOnNumbers(OnNumbers, VecformerClassifier):
    def predict_proba(self, X):
        return super().predict_proba(self._texts(X))


class VectorizerOnNumbers(OnNumbers, VecformerVectorizer):
    def transform(self, X):
        return super().transform(self._texts(X))


def run(estimator, check, monkeypatch):
    name = check.func.__name__ if isinstance(check, partial) else check.__name__
    if name in EXCLUDED:
        pytest.skip(EXCLUDED[name])
    monkeypatch.setattr(results, "write_report", lambda *_args, **_named: None)  # half of the time of a small run
    check(estimator)


@parametrize_with_checks([ClassifierOnNumbers("random", recipe="plain", epochs=10, settings=SMALL)])
def test_classifier(estimator, check, monkeypatch):
    run(estimator, check, monkeypatch)


@parametrize_with_checks([VectorizerOnNumbers("random,dim=8", recipe="plain", settings=SMALL)])
def test_vectorizer_of_means(estimator, check, monkeypatch):
    run(estimator, check, monkeypatch)


@pytest.mark.slow
@parametrize_with_checks([
    VectorizerOnNumbers("random", vectors="encoder", recipe="plain", epochs=1, settings=SMALL)])
def test_vectorizer_by_an_encoder(estimator, check, monkeypatch):
    run(estimator, check, monkeypatch)


@pytest.mark.parametrize("estimator", [VecformerClassifier(), VecformerVectorizer()])
def test_checks_of_estimators_whose_input_is_text(estimator):
    """The estimators as they are: scikit-learn leaves out all checks that need arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        assert {made["status"] for made in check_estimator(estimator)} == {"passed"}
