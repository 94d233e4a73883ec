"""Cutting, drawing and batching: nothing lost, nothing on two sides, the seed decides."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import DataConfig
from pipeline.data.batching import by_length, pad, shuffled
from pipeline.data.datasets import read_examples, read_splits
from pipeline.data.splitting import MIN_DEV, dev_size, draw_evenly, split_off
from pipeline.errors import DataError

EXAMPLES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from("abc")), max_size=80)


def cut(examples, share, seed):
    return split_off(examples, share, seed=seed, text=lambda e: e[0], label=lambda e: e[1])


@given(EXAMPLES, st.floats(0.05, 0.95), st.integers(0, 9))
def test_a_cut_loses_nothing_and_never_parts_equal_texts(examples, share, seed):
    kept, aside = cut(examples, share, seed)
    assert Counter(kept) + Counter(aside) == Counter(examples)
    assert not {text for text, _ in kept} & {text for text, _ in aside}
    assert cut(examples, share, seed) == (kept, aside)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80), st.floats(0.05, 0.95))
def test_every_label_gives_its_share(labels, share):
    _, aside = cut(list(enumerate(labels)), share, seed=1)
    for label, count in Counter(labels).items():
        assert sum(found == label for _, found in aside) == round(share * count)


def test_another_seed_cuts_elsewhere():
    examples = [(i, "a") for i in range(50)]
    assert cut(examples, 0.5, 1) != cut(examples, 0.5, 2)


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_drawing_is_even_as_far_as_there_are_enough(labels, n, seed):
    examples = list(enumerate(labels))
    drawn, rest = draw_evenly(examples, n, seed=seed, label=lambda e: e[1])
    assert sorted(drawn + rest) == examples
    assert len(drawn) == min(n, len(examples))
    left, taken = Counter(label for _, label in rest), Counter(label for _, label in drawn)
    most = max(taken.values(), default=0)
    assert all(taken[label] >= most - 1 for label in left)  # a label that has examples left is not behind


def test_a_dev_set_too_small_to_say_anything_is_not_set_aside():
    assert dev_size(10 * MIN_DEV - 10, 0.1) == 0
    assert dev_size(10 * MIN_DEV, 0.1) == MIN_DEV


@given(st.lists(st.integers(0, 30), min_size=1, max_size=400), st.integers(1, 7), st.integers(0, 5))
def test_batches_hold_every_text_once(lengths, size, seed):
    random = np.random.default_rng(seed)
    for batches in (shuffled(lengths, size, random), shuffled(lengths, size, random), by_length(lengths, size)):
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        assert len(batches) == -(-len(lengths) // size)


def test_batches_are_of_like_lengths_in_random_order():
    lengths = list(np.random.default_rng(0).integers(1, 300, 2000))
    batches = shuffled(lengths, 10, np.random.default_rng(1))
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    means = [np.mean([lengths[i] for i in batch]) for batch in batches]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.2


def test_padding():
    ids = [np.array([3, 4, 5], np.int32), np.array([6], np.int32), np.array([], np.int32)]
    assert pad(ids).tolist() == [[3, 4, 5], [6, 0, 0], [0, 0, 0]]
    assert pad([np.array([], np.int32)]).tolist() == [[0]]


def write(folder, **parts):
    for name, rows in parts.items():
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return folder


ROWS = [(f"text {i}", "ab"[i % 2]) for i in range(1200)]


def test_a_folder_keeps_its_parts(tmp_path):
    write(tmp_path, train=ROWS[:20], valid=ROWS[20:26], test=ROWS[26:40])
    (tmp_path / "unlabelled.txt").write_text("one\n\ntwo\n")
    splits = read_splits(DataConfig(path=str(tmp_path)), seed=1)
    assert [len(part) for part in (splits.train, splits.dev, splits.test)] == [20, 6, 14]
    assert splits.unlabelled == ("one", "two")
    assert splits.train[0].where == f"{tmp_path / 'train.tsv'}:2"


def test_one_file_is_cut_and_labels_of_the_rest_are_dropped(tmp_path):
    write(tmp_path, data=[*ROWS, ("a text of no label", "")])
    config = DataConfig(path=str(tmp_path / "data.tsv"), limit_train=600)
    splits = read_splits(config, seed=1)
    assert [len(p) for p in (splits.train, splits.dev, splits.test, splits.unlabelled)] == [540, 60, 300, 301]
    assert Counter(example.label for example in splits.train) == {"a": 270, "b": 270}
    assert "a text of no label" in splits.unlabelled
    texts = [*(e.text for part in (splits.train, splits.dev, splits.test) for e in part), *splits.unlabelled]
    assert len(set(texts)) == len(texts) == 1201
    assert read_splits(config, seed=1) == splits != read_splits(config, seed=2)


def test_few_labels_are_all_trained_on(tmp_path):
    splits = read_splits(DataConfig(path=str(write(tmp_path, train=ROWS[:100], test=ROWS[100:110]))), seed=1)
    assert (len(splits.train), len(splits.dev)) == (100, 0)


def test_leaks_between_given_files_are_told(tmp_path, caplog):
    read_splits(DataConfig(path=str(write(tmp_path, train=ROWS[:20], test=ROWS[15:40]))), seed=1)
    assert "5 of the 25 test texts also stand in the training file" in caplog.text


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"test": ROWS[:9]}, r"no file train\.\*"),
        ({"train": ROWS[:9], "test": [("x", "")]}, r"test\.tsv:2: no label \(1 such rows\)"),
        ({"train": ROWS[:9], "dev": ROWS[:9], "valid": ROWS[:9]}, r"dev\.tsv and valid\.tsv are both there"),
        ({"train": ROWS[:1]}, "too few examples"),
    ],
)
def test_folders_that_will_not_do(tmp_path, parts, message):
    with pytest.raises(DataError, match=message):
        read_splits(DataConfig(path=str(write(tmp_path, **parts))), seed=1)


def test_evaluation_files_need_labels(tmp_path):
    write(tmp_path, more=[("x", "")])
    with pytest.raises(DataError, match="no label"):
        read_examples(tmp_path / "more.tsv", DataConfig())


def test_bbc_without_repeats():
    splits = read_splits(DataConfig(path="bbc", limit_train=50), seed=1)
    assert len(splits.train) + len(splits.test) + len(splits.unlabelled) == 2127
    assert len(splits.test) >= 500
    assert set(Counter(example.label for example in splits.train).values()) == {10}
    everything = [*(e.text for e in splits.train + splits.test), *splits.unlabelled]
    assert len(set(everything)) == 2127
    assert not any("\ufffd" in text for text in everything)
