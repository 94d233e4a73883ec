from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from pipeline.baselines.ngram import KneserNey

STREAM = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def perplexity(model, ids):
    return float(np.exp(-model.log_probabilities(ids).mean()))


def plain(stream, size, order, discount, context, token):
    """Interpolated Kneser-Ney from its definition, by dictionaries; the context is as long as it may be."""
    def probability(n, context, token):
        if n == 0:
            return 1 / size
        grams = [tuple(stream[i:i + n]) for i in range(len(stream) - n + 1)]
        if n == order:
            counts = Counter(grams)
        else:
            before = defaultdict(set)
            for i in range(1, len(stream) - n + 1):
                before[tuple(stream[i:i + n])].add(stream[i - 1])
            counts = Counter({gram: len(seen) for gram, seen in before.items()})
        history = context[len(context) - n + 1:]
        after = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == history}
        shorter = probability(n - 1, context, token)
        if not after:
            return shorter
        saved = discount * len(after) * shorter
        return (max(after.get(token, 0) - discount, 0) + saved) / sum(after.values())

    return probability(min(order, len(context) + 1), context, token)


@given(STREAM, STREAM, st.integers(1, 4))
def test_equal_to_the_definition(stream, other, order):
    stream = stream * 2 + stream[:order]  # at least as long as the longest n-gram
    found = KneserNey(order, discount=0.75).fit(np.array(stream), 6).log_probabilities(np.array(other))
    expected = [plain(stream, 6, order, 0.75, tuple(other[max(0, i - order + 1):i]), token)
                for i, token in enumerate(other)]
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-9)


@given(STREAM, st.lists(st.integers(0, 5), max_size=4), st.integers(1, 4))
def test_probabilities_sum_to_one(stream, context, order):
    model = KneserNey(order).fit(np.array(stream), 6)
    sums = sum(np.exp(model.log_probabilities(np.array([*context, token]))[-1]) for token in range(6))
    assert sums == pytest.approx(1)


@given(st.lists(st.integers(0, 200), min_size=300, max_size=600), st.integers(2, 3))
def test_estimated_discounts_sum_to_one_as_well(stream, order):
    stream = np.array(stream) ** 2 // 400  # some tokens often, some rarely
    model = KneserNey(order).fit(stream, 101)
    for context in stream[:3], stream[5:6], stream[:0]:
        streams = [np.append(context, token) for token in range(101)]
        assert sum(np.exp(model.log_probabilities(one)[-1]) for one in streams) == pytest.approx(1)


def test_a_bigram_model_by_hand():
    """The text 0 1 0 2 of three tokens, discount 1/2.

    Tokens before each: 0 has {1}, 1 has {0}, 2 has {0}: p(w) = (1 - 1/2) / 3 + (3/2 / 3) * 1/3 = 1/3.
    After 0 stand 1 and 2, once each: p(1 | 0) = (1 - 1/2) / 2 + (2 * 1/2 / 2) * 1/3 = 5/12; p(0 | 0) = 1/6.
    After 2 stands nothing: p(w | 2) = p(w).
    """
    model = KneserNey(2, discount=0.5).fit(np.array([0, 1, 0, 2]), 3)
    np.testing.assert_allclose(np.exp(model.log_probabilities(np.array([0, 1]))), [1 / 3, 5 / 12])
    np.testing.assert_allclose(np.exp(model.log_probabilities(np.array([0, 0]))), [1 / 3, 1 / 6])
    np.testing.assert_allclose(np.exp(model.log_probabilities(np.array([2, 1]))), [1 / 3, 1 / 3])


def test_discounts_are_estimated_from_counts_of_counts():
    """Four tokens once, three twice, two three times, one four times: Y = 4 / (4 + 2 * 3) = 0.4."""
    stream = np.repeat(np.arange(10), [1] * 4 + [2] * 3 + [3] * 2 + [4])
    d1, d2, d3 = 1 - 2 * 0.4 * 3 / 4, 2 - 3 * 0.4 * 2 / 3, 3 - 4 * 0.4 * 1 / 2
    saved = (4 * d1 + 3 * d2 + 3 * d3) / 20
    found = np.exp(KneserNey(1).fit(stream, 10).log_probabilities(np.array([0, 4, 7, 9])))
    np.testing.assert_allclose(found, np.array([1 - d1, 2 - d2, 3 - d3, 4 - d3]) / 20 + saved / 10)


def test_longer_contexts_are_used_where_they_help():
    """Each token is the sum of the two before it, now and then disturbed: single ones tell nothing."""
    random = np.random.default_rng(0)
    tokens = [0, 1]
    for disturbed in random.random(4000) < 0.1:
        tokens.append(int(random.integers(5)) if disturbed else (tokens[-1] + tokens[-2]) % 5)
    train, test = np.array(tokens[:3000]), np.array(tokens[3000:])
    by_order = [perplexity(KneserNey(order).fit(train, 5), test) for order in (1, 2, 3)]
    assert by_order[2] < 2 < 4.5 < min(by_order[:2])


def streams(train, test):
    """Ids of the lines' words, the end of a line one of them, and the size of the vocabulary; unseen words are 0."""
    tokenizer = WordTokenizer()
    cut = [[word for line in lines if line for word in (*tokenizer.words(line), "</s>")] for lines in (train, test)]
    number = {word: i for i, word in enumerate(dict.fromkeys(cut[0]), start=1)}
    return *(np.array([number.get(word, 0) for word in words]) for words in cut), len(number) + 1


def test_pairs_help_on_real_text(support):
    def texts(name):
        lines = (support / name).read_text(encoding="utf-8").splitlines()
        return [line.split("\t")[0] for line in lines]

    train, test, size = streams(texts("train.tsv") + texts("unlabelled.txt"), texts("test.tsv"))
    assert perplexity(KneserNey(2).fit(train, size), test) < 0.7 * perplexity(KneserNey(1).fit(train, size), test)


@pytest.mark.datasets
def test_shakespeare(datasets):
    folder = datasets / "tinyshakespeare_lm"
    read = [(folder / f"{part}.txt").read_text(encoding="utf-8").split("\n") for part in ("train", "test")]
    train, test, size = streams(*read)
    one, two, three = (perplexity(KneserNey(order).fit(train, size), test) for order in (1, 2, 3))
    assert three < two < one
    assert three == pytest.approx(178.2, abs=0.1)  # measured; 10,834 words of training and the unknown one
