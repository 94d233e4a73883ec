"""Cutting and drawing: nothing lost, nothing on two sides, every label its share, the seed decides."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.readers.splitting import MAX_DEV, MIN_DEV, dev_size, draw_evenly, split_off

LABELS = st.lists(st.sampled_from("abc"), max_size=80)
SHARES = st.floats(0.05, 0.95)
SEEDS = st.integers(0, 9)


def numbered(pairs):
    return [(i, *pair) for i, pair in enumerate(pairs)]


def cut(examples, share, seed):
    return split_off(examples, share, seed=seed, key=lambda e: e[1], label=lambda e: e[2])


def draw(examples, n, seed):
    return draw_evenly(examples, n, seed=seed, label=lambda e: e[1])


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=80), SHARES, SEEDS)
def test_splits_are_complete_and_keep_equal_texts_together(pairs, share, seed):
    examples = numbered(pairs)
    kept, aside = cut(examples, share, seed)
    assert sorted(kept + aside) == examples
    assert (kept, aside) == (sorted(kept), sorted(aside))
    assert not {text for _, text, _ in kept} & {text for _, text, _ in aside}
    assert cut(examples, share, seed) == (kept, aside)


@given(LABELS, SHARES, SEEDS)
def test_every_label_gives_its_share(labels, share, seed):
    _, aside = cut(numbered(enumerate(labels)), share, seed)
    found = Counter(label for _, _, label in aside)
    for label, count in Counter(labels).items():
        assert abs(found[label] - share * count) <= 0.5 + 1e-9


def test_repeated_texts_count_once_in_a_share():
    examples = numbered([("often", "a")] * 30 + [(f"once {i}", "a") for i in range(9)])
    for seed in range(10):
        _, aside = cut(examples, 0.5, seed)
        assert len({text for _, text, _ in aside}) == 5


def test_another_seed_splits_and_draws_differently():
    examples = numbered((i, "a") for i in range(50))
    assert cut(examples, 0.5, 1) != cut(examples, 0.5, 2)
    labelled = [(i, "ab"[i % 2]) for i in range(50)]
    assert draw(labelled, 20, 1) != draw(labelled, 20, 2)


@given(LABELS, st.integers(1, 100), SEEDS)
def test_draws_are_balanced_as_far_as_possible(labels, n, seed):
    examples = list(enumerate(labels))
    drawn, rest = draw(examples, n, seed)
    assert sorted(drawn + rest) == examples
    assert (drawn, rest) == (sorted(drawn), sorted(rest))
    assert len(drawn) == min(n, len(examples))
    left, taken = Counter(label for _, label in rest), Counter(label for _, label in drawn)
    most = max(taken.values(), default=0)
    assert all(taken[label] >= most - 1 for label in left)  # a label that has examples left is not behind
    assert draw(examples, n, seed) == (drawn, rest)


def test_all_examples_of_a_rare_label_are_drawn():
    drawn, _ = draw([(i, "b" if i % 10 == 0 else "a") for i in range(40)], 20, seed=3)
    assert Counter(label for _, label in drawn) == {"a": 16, "b": 4}


@pytest.mark.parametrize(
    ("n", "share", "size"),
    [(10 * MIN_DEV - 10, 0.1, 0), (10 * MIN_DEV, 0.1, MIN_DEV), (1000, 0.2, 200), (10_000, 0.0, 0), (0, 0.5, 0),
     (10 * MAX_DEV - 10, 0.1, MAX_DEV - 1), (4_000_000, 0.1, MAX_DEV)],
)
def test_a_small_dev_set_is_not_set_aside_and_a_large_one_is_limited(n, share, size):
    assert dev_size(n, share) == size
