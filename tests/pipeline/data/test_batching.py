"""Batches: every text once an epoch, like lengths together, padding only where a text ends."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.features.batching import POOL, Batch, by_length, pad, shuffled, within_budget

LENGTHS = st.lists(st.integers(0, 30), max_size=400)
SIZES = st.integers(1, 7)
TEXTS = st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=6), min_size=1, max_size=5)


def flat(batches):
    return [int(i) for batch in batches for i in batch]


@given(LENGTHS, SIZES, st.integers(0, 5))
def test_every_epoch_has_every_text_once_in_the_same_number_of_batches(lengths, size, seed):
    random = np.random.default_rng(seed)
    for batches in (shuffled(lengths, size, random), shuffled(lengths, size, random)):
        assert sorted(flat(batches)) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // size)
        assert all(len(batch) <= size for batch in batches)


@given(LENGTHS, st.integers(1, 200), st.integers(0, 5))
def test_batches_within_a_token_budget_have_every_text_once(lengths, tokens, seed):
    random = np.random.default_rng(seed)
    first, second = (within_budget(lengths, tokens, random) for _ in range(2))
    for batches in (first, second):
        assert sorted(flat(batches)) == list(range(len(lengths)))
        assert all(len(batch) for batch in batches)
    total = sum(max(1, length) for length in lengths)
    assert len(first) == len(second) == min(len(lengths), -(-total // tokens))


def test_batches_within_a_token_budget_have_similar_sizes_and_lengths():
    lengths = np.random.default_rng(0).integers(5, 100, 5000)
    batches = within_budget(lengths, 2000, np.random.default_rng(1))
    sizes = np.array([lengths[batch].sum() for batch in batches])
    assert np.abs(sizes - 2000).max() <= 200
    waste = sum(lengths[batch].max() * len(batch) for batch in batches) / lengths.sum()
    assert waste < 1.1
    assert [len(batch) for batch in batches] != sorted(len(batch) for batch in batches)


@given(LENGTHS, st.integers(1, 100))
def test_evaluation_batches_are_sorted_and_limited_in_positions(lengths, places):
    batches = by_length(lengths, places)
    assert flat(batches) == sorted(range(len(lengths)), key=lengths.__getitem__)
    full = [len(batch) * lengths[batch[-1]] for batch in batches]
    assert all(size <= places or len(batch) == 1 for size, batch in zip(full, batches, strict=True))
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * lengths[following[0]] > places  # no batch could have taken one more


def test_the_seed_decides_and_every_epoch_has_its_own_order():
    lengths = list(range(100))
    random = np.random.default_rng(1)
    first, second = flat(shuffled(lengths, 4, random)), flat(shuffled(lengths, 4, random))
    assert first != second
    assert flat(shuffled(lengths, 4, np.random.default_rng(1))) == first
    assert flat(shuffled(lengths, 4, np.random.default_rng(2))) != first


def test_batches_have_similar_lengths_in_random_order():
    lengths = list(np.random.default_rng(0).integers(1, 300, 2000))
    batches = shuffled(lengths, 10, np.random.default_rng(1))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    means = [np.mean([lengths[i] for i in batch]) for batch in batches]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.2


def test_texts_of_equal_length_have_other_neighbours_each_epoch():
    """Sorting within pools must not keep the same texts together for good."""
    random = np.random.default_rng(0)
    lengths = [5] * (4 * POOL)
    together = [{frozenset(batch.tolist()) for batch in shuffled(lengths, 4, random)} for _ in range(2)]
    assert len(together[0] & together[1]) < 3


@given(TEXTS)
def test_padding_is_zero(texts):
    padded = pad([np.array(ids, np.int32) for ids in texts])
    longest = max(1, *map(len, texts))
    assert padded.dtype == torch.int64
    assert padded.tolist() == [ids + [0] * (longest - len(ids)) for ids in texts]


def test_an_empty_text_still_has_a_column():
    assert pad([np.array([], np.int32)] * 2).tolist() == [[0], [0]]


def test_all_tensors_of_a_batch_are_moved():
    made = Batch(torch.ones(2, 3, dtype=torch.long), torch.zeros(2), n_tokens=6, n_targets=2, where=("a", "b"))
    batch = made.to(torch.device("meta"))
    assert (batch.ids.device.type, batch.targets.device.type, batch.n_tokens) == ("meta", "meta", 6)
