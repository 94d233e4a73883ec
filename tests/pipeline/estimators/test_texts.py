"""Texts and labels that programs pass: what is accepted, and where the first wrong one is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.given_texts import checked_texts
from pipeline.errors import DataError, PipelineError, TextsError
from pipeline.estimators.targets import checked_targets, class_weights, codes_of


class Column:
    """What a pandas Series has of the interface of sequences, with an index that does not begin at 0."""

    def __init__(self, values):
        self.values, self.shape, self.index = list(values), (len(values),), range(5, 5 + len(values))

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, label):
        return self.values[label - 5]

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=object)


FORMS = [list, tuple, iter, Column, lambda texts: np.array(texts, dtype=object),
         lambda texts: np.array(texts, dtype=str)]


@pytest.mark.parametrize("form", FORMS)
def test_columns_arrays_and_lists_are_texts(form):
    made = checked_texts(form(["a", "", "ß\n"]), "X")
    assert made == ["a", "", "ß\n"]
    assert {type(text) for text in made} == {str}


def test_a_column_of_pandas_is_texts():
    pandas = pytest.importorskip("pandas")
    for dtype in ("object", "string"):
        assert checked_texts(pandas.Series(["a", "b"], index=[7, 8], dtype=dtype), "X") == ["a", "b"]
        with pytest.raises(TextsError, match=r"X\[1\]"):
            checked_texts(pandas.Series(["a", None], dtype=dtype), "X")
    with pytest.raises(TextsError, match="one column"):
        checked_texts(pandas.DataFrame({"text": ["a"]}), "X")


@given(st.lists(st.text(max_size=3), max_size=6), st.data(),
       st.sampled_from([None, float("nan"), np.float64("nan"), 3, b"bytes", ["a"], np.bool_(True)]))
def test_the_position_of_the_first_wrong_text_is_named(texts, data, wrong):
    position = data.draw(st.integers(0, len(texts)))
    with pytest.raises(TextsError, match=rf"^X\[{position}\] is "):
        checked_texts([*texts[:position], wrong, *texts[position:], None], "X")


@pytest.mark.parametrize("wrong", [
    "one text", b"bytes", {"a": 1}, {"a"}, np.array([["a"]]), np.array("a"), np.ones((2, 2)), 5, None])
def test_what_is_not_a_list_of_texts(wrong):
    with pytest.raises(TextsError, match="must be a list of strings") as caught:
        checked_texts(wrong, "X")
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, PipelineError)


def test_a_sparse_matrix_is_named():
    scipy = pytest.importorskip("scipy.sparse")
    with pytest.raises(TextsError, match="sparse"):
        checked_texts(scipy.csr_matrix(np.eye(2)), "X")


@pytest.mark.parametrize(("labels", "classes"), [
    (["b", "a"], ["a", "b"]),
    ([10, 9], [9, 10]),
    ([True, False], [False, True]),
    ([1.0, 0.0], [0.0, 1.0]),
    (np.array(["b", "a"]), ["a", "b"]),
    (np.array(["b", "a"], dtype=object), ["a", "b"]),
    (np.array([2, 1], dtype=object), [1, 2]),
    (np.array([[2], [1]]), [1, 2]),
    (Column(["b", "a"]), ["a", "b"]),
    ((np.int64(3), np.int64(2)), [2, 3]),
])
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_labels_keep_their_type(labels, classes):
    found = checked_targets(labels, 2)
    assert found.classes.tolist() == classes
    assert {type(label) for label in found.classes.tolist()} == {type(label) for label in classes}
    assert found.codes.tolist() == [1, 0]
    assert found.names == tuple(map(str, classes))


@pytest.mark.parametrize(("labels", "message"), [
    (["a"], "2 texts but 1 labels"),
    (["a", None], r"y\[1\] is None"),
    (["a", float("nan")], r"y\[1\] is nan"),
    (np.array([1.0, np.nan]), r"y\[1\] is nan"),
    (["", "a"], r"y\[0\] is an empty string"),
    (["a", 1], "Unknown label type: y has labels of the types str, int"),
    ([True, "True"], "Unknown label type"),
    ([0.5, 0.25], "continuous"),
    ([1.0, np.inf], "infinity"),
    ([["a"], ["b", "c"]], "Unknown label type|shape|1d"),
    (np.eye(2), "1d array"),
    (None, "requires y to be passed, but the target y is None"),
    ("ab", "not one string"),
    (5, "list of labels"),
])
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        checked_targets(labels, 2)


def test_labels_of_a_validation_set_are_among_those_of_training():
    classes = checked_targets([3, 5, 3], 3).classes
    assert codes_of([5, 3], 2, classes, "validation[1]").tolist() == [1, 0]
    with pytest.raises(DataError, match=r"^validation\[1\]\[1\] is .*4"):
        codes_of([5, 4], 2, classes, "validation[1]")


def test_class_weights_are_named_as_the_run_names_labels():
    targets = checked_targets([1, 2, 2], 3)
    assert class_weights(None, targets) is None
    assert class_weights("balanced", targets) == "balanced"
    assert class_weights({2: 3}, targets) == {"2": 3.0}
    for wrong, message in (("equal", "must be None"), ({7: 1.0}, "no text has the label 7"), ([1, 2], "not list")):
        with pytest.raises(DataError, match=message):
            class_weights(wrong, targets)
