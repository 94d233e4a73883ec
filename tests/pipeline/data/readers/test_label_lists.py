"""Lists of labels that are numbers, written as strings, or 0 and 1 for each label."""


import pytest

from pipeline.data.readers.cells import as_label, as_labels
from pipeline.errors import DataError


@pytest.mark.parametrize(("written", "labels"), [
    ("[0, 3]", ["0", "3"]), ("[ 12 ]", ["12"]), ("[]", []), ("[ ]", []),
    ("['a', 'b']", ["a", "b"]), ("[a, b]", ["[a, b]"]),
    ("[1-2]", ["[1-2]"]), ("[0 1]", ["[0 1]"]), ("[1, 'a']", ["[1, 'a']"]),
])
def test_lists_that_pandas_writes_as_strings(written, labels):
    assert as_labels(written, "a.csv:2", "labels") == labels


@pytest.mark.parametrize("value", [[1, 0, 0], [0.0, 1.0, 1.0], [True, False, False], "[0, 1, 0]", [1, 1]])
def test_zeros_and_ones_for_each_label_are_not_labels(value):
    for read in (as_label, as_labels):
        with pytest.raises(DataError, match=r"a\.csv:2: 'labels' is 0 or 1 for each label .* labels that apply$"):
            read(value, "a.csv:2", "labels")


def test_numbers_of_labels_that_apply_are_labels():
    assert as_labels([0, 1], "a", "labels") == ["0", "1"]
    assert as_labels([1], "a", "labels") == ["1"]
    assert as_labels(["1", "1", "0"], "a", "labels") == ["1", "0"]
