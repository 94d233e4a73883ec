"""Packed features: the same features as separate objects, in a third of the memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.features.batching import Feature, collate
from pipeline.data.features.packed import PackedFeatures, lengths_of
from pipeline.tasks.class_weights import weighted

ROW = st.lists(st.integers(0, 9), max_size=6).map(lambda ids: np.array(ids, dtype=np.int32))
BATCHES = st.lists(st.lists(ROW, min_size=1, max_size=4), max_size=4)


def separate(batches, *, types):
    rows = [row for batch in batches for row in batch]
    return [Feature(row, np.array(i % 3), i, f"f:{i}", row % 2 if types else None) for i, row in enumerate(rows)]


def packed(batches, *, types):
    n = sum(map(len, batches))
    rows = ([(row, row % 2 if types else None) for row in batch] for batch in batches)
    return PackedFeatures.of(rows, np.arange(n) % 3, [f"f:{i}" for i in range(n)])


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert one.ids.dtype == np.int32
        assert int(one.target) == int(other.target)
        assert (one.example, one.where, one.n_targets) == (other.example, other.where, other.n_targets)
        assert (one.token_types is None) == (other.token_types is None)
        assert one.token_types is None or np.array_equal(one.token_types, other.token_types)


@given(BATCHES, st.booleans())
def test_the_features_are_those_of_separate_objects(batches, types):
    one, other = packed(batches, types=types), separate(batches, types=types)
    assert_equal(one, other)
    assert_equal(one[1:], other[1:])
    assert_equal(one[::-2], other[::-2])
    assert lengths_of(one).tolist() == lengths_of(other).tolist() == [len(feature) for feature in other]
    if other:
        assert_equal([one[-1]], [other[-1]])


@given(BATCHES.filter(bool), st.booleans())
def test_batches_are_equal(batches, types):
    one, other = (collate(make(batches, types=types)[:5]) for make in (packed, separate))
    assert one.ids.equal(other.ids)
    assert one.targets.equal(other.targets)
    assert (one.n_tokens, one.n_targets, one.where) == (other.n_tokens, other.n_targets, other.where)
    assert (one.token_types is None) == (other.token_types is None)


@given(BATCHES)
def test_weights_of_labels_are_counted(batches):
    weights = (0.5, 1.0, 3.0)
    one, other = (weighted(make(batches, types=False), weights) for make in (packed, separate))
    assert_equal(one, other)


def test_an_index_out_of_range_is_an_error():
    features = packed([[np.zeros(2, dtype=np.int32)]], types=False)
    with pytest.raises(IndexError):
        features[1]


def test_targets_may_have_different_lengths():
    targets = [np.array([0, 2]), np.array([], dtype=np.int64)]
    features = PackedFeatures.of([[(np.ones(1, dtype=np.int32), None)] * 2], targets, ["a", "b"])
    assert [feature.target.tolist() for feature in features] == [[0, 2], []]


def test_memory_is_a_third_of_that_of_separate_objects():
    n = 20_000
    places = [f"f:{i}" for i in range(n)]

    def memory(make):
        tracemalloc.start()
        kept = make()
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(kept) == n
        return used

    def texts():
        return (np.arange(37, dtype=np.int32) for _ in range(n))

    one = memory(lambda: PackedFeatures.of([[(row, None) for row in texts()]], np.zeros(n, np.int64), places))
    other = memory(lambda: [Feature(row, np.array(0), i, places[i]) for i, row in enumerate(texts())])
    assert one < 0.4 * other
