"""Labels that a program passes, of any type, and their names in a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError


class Targets(NamedTuple):
    """Labels of texts.

    Attributes:
        classes: the distinct labels in their own type, sorted.
        codes: number of the label of each text. *Shape:* ``(n_texts,)``, int64.
        names: the labels as strings, as the run has them.
    """

    classes: NDArray[Any]
    codes: NDArray[np.int64]
    names: tuple[str, ...]


def checked_targets(y: Any, n_texts: int, name: str = "y") -> Targets:
    """Check labels and number them.

    Args:
        y: one label for each text: strings, integers, booleans or integral floats.
        n_texts: number of texts.
        name: name of the argument, for messages.

    Raises:
        DataError: if there is not one label for each text, or one is missing or empty; the message has its position.
        ValueError: raised by scikit-learn if they are continuous or not one-dimensional.
    """
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import column_or_1d

    if y is None:
        raise DataError(f"the classifier requires {name} to be passed, but the target {name} is None")
    labels = column_or_1d(_as_array(y, name), warn=True)
    if len(labels) != n_texts:
        raise DataError(f"{n_texts} texts but {len(labels)} labels in {name}; give one label for each text")
    for position, label in enumerate(labels):
        if _is_missing(label):
            raise DataError(f"{name}[{position}] is {label}: every text needs a label; pass texts without a label as "
                            "unlabelled=[...]")
        if isinstance(label, str) and not label:
            raise DataError(f"{name}[{position}] is an empty string: every text needs a label; pass texts without a "
                            "label as unlabelled=[...]")
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        types = Counter(type(label).__name__ for label in labels)
        raise DataError(f"Unknown label type: {name} has labels of the types {', '.join(types)}; convert them to one "
                        "type") from error
    check_classification_targets(labels)
    names = tuple(map(str, classes))
    if len(set(names)) < len(names):
        raise DataError(f"{name} has different labels with the same text: "
                        f"{', '.join(sorted(text for text, n in Counter(names).items() if n > 1))}")
    return Targets(classes, codes.ravel(), names)


def require_classes(targets: Targets) -> None:
    """Require at least two classes.

    Raises:
        DataError: if there is one.
    """
    if len(targets.classes) < 2:
        raise DataError(f"y has only one class, {targets.names[0]!r}; classification needs at least two")


def codes_of(y: Any, n_texts: int, classes: Sequence[Any] | NDArray[Any], name: str) -> NDArray[np.int64]:
    """Return the numbers of labels that are among the classes of other labels.

    Raises:
        DataError: if one is not; the message has its position.
    """
    found = checked_targets(y, n_texts, name)
    number = {label: i for i, label in enumerate(classes)}
    for position, code in enumerate(found.codes):
        if found.classes[code] not in number:
            raise DataError(f"{name}[{position}] is {found.classes[code]!r}, which no text of the training data has as "
                            "its label")
    return np.array([number[label] for label in found.classes])[found.codes]


def class_weights(class_weight: Any, targets: Targets) -> str | dict[str, float] | None:
    """Return the value of ``training.class_weights`` for scikit-learn's ``class_weight``.

    Args:
        class_weight: None, ``"balanced"``, or a mapping of labels to weights.
        targets: the labels.

    Raises:
        DataError: if it is anything else, or names a label that does not exist.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise DataError(f"class_weight must be None, 'balanced' or a mapping of labels to weights, not "
                            f"{class_weight!r}")
        return class_weight
    if not isinstance(class_weight, Mapping):
        raise DataError("class_weight must be None, 'balanced' or a mapping of labels to weights, not "
                        f"{type(class_weight).__name__}")
    name_of = dict(zip(targets.classes.tolist(), targets.names, strict=True))
    if unknown := [label for label in class_weight if label not in name_of]:
        raise DataError(f"class_weight: no text has the label {unknown[0]!r}; the labels are "
                        f"{', '.join(map(repr, name_of))}")
    return {name_of[label]: float(weight) for label, weight in class_weight.items()}


def _as_array(y: Any, name: str) -> NDArray[Any]:
    """Return labels as an array whose type is theirs."""
    if isinstance(y, str | bytes):
        raise DataError(f"{name} must be a list of labels, not one string")
    if hasattr(y, "__array__"):
        given = np.asarray(y)
        if given.dtype != object or given.ndim != 1:
            return given
        y = given.tolist()
    try:
        labels = list(y)
    except TypeError as error:
        raise DataError(f"{name} must be a list of labels, not of type {type(y).__name__}") from error
    if all(isinstance(label, str) for label in labels) or len({type(label) for label in labels}) == 1:
        return np.asarray(labels)
    mixed = np.empty(len(labels), dtype=object)  # NumPy would convert [1, "a"] to two strings
    mixed[:] = labels
    return mixed


def _is_missing(label: Any) -> bool:
    """Whether a label is None, NaN or pandas' NA."""
    if label is None:
        return True
    return (isinstance(label, float | np.floating) and bool(np.isnan(label))) or type(label).__name__ == "NAType"
