"""Texts with any number of labels, and texts with a number: cells, unlabelled text, stratified splits."""

import json
from collections import Counter

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from pipeline.data.config import DataConfig
from pipeline.data.examples import MultiLabelExample, RatedExample
from pipeline.data.readers import findings
from pipeline.data.readers.label_sets import LabelSetReader
from pipeline.data.readers.ratings import RatingReader
from pipeline.errors import DataError


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path, reader=LabelSetReader, **config):
    return reader().read_file(path, DataConfig(path=str(path), **config))


def test_lists_are_labels_and_an_empty_list_differs_from_a_missing_one(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [
        {"text": "one", "labels": ["b", "a", "b"]}, {"text": "two", "labels": []}, {"text": "three", "labels": None},
        {"text": "four"}, {"text": "five", "labels": "a,b"}])
    assert [example.labels for example in read(path)] == [("b", "a"), (), None, None, ("a,b",)]
    assert read(path, label_separator=",")[4].labels == ("a", "b")
    assert [LabelSetReader().is_unlabelled(example) for example in read(path)] == [False, False, True, True, False]
    assert read(path)[0].where == f"{path}:1"


def test_parquet_lists_are_labels(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["one", "two", "three"], "labels": [["a"], [], None]}), path)
    assert [example.labels for example in read(path)] == [("a",), (), None]


def test_strings_are_split_at_the_separator(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\none\tb; a\ntwo\t\nthree\ta\n")
    assert [example.labels for example in read(path, label_separator=";")] == [("b", "a"), None, ("a",)]
    assert read(path)[0].labels == ("b; a",)


def test_joined_labels_without_a_separator_are_a_warning(tmp_path):
    path = tmp_path / "a.tsv"
    cells = ["room,price", "price", "room", "price,food", "food,room"]
    path.write_text("text\tlabel\n" + "".join(f"text {i}\t{cell}\n" for i, cell in enumerate(cells)))
    with findings.collecting() as found:
        read(path)
    assert [warning for warning in found.warnings if "--label-separator" in warning] == [
        f"{path}: labels contain ',', such as 'food,room'; if these are several labels, set --label-separator ','"]
    with findings.collecting() as found:
        read(path, label_separator=",")
    assert not found.warnings


def test_labels_with_commas_of_their_own_are_no_warning(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\none\tMeat, fish\ntwo\tRooms, bathrooms\nthree\tPrice\n")
    with findings.collecting() as found:
        read(path)
    assert not found.warnings


def test_pairs_are_read(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"text_a": "one", "text_b": "two", "labels": ["a"]}])
    assert read(path) == (MultiLabelExample("one", ("a",), f"{path}:1", "two"),)


def test_objects_are_refused_with_the_line(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"text": "one", "labels": ["a"]}, {"text": "two", "labels": [{"a": 1}]}])
    with pytest.raises(DataError, match=r"a\.jsonl:2: 'labels' is an object"):
        read(path)


def test_unlabelled_training_texts_are_text_and_test_texts_need_labels(tmp_path):
    rows = [{"text": f"text {i}", "labels": [["a"], ["b"], [], None][i % 4]} for i in range(8)]
    write_lines(tmp_path / "train.jsonl", rows)
    write_lines(tmp_path / "test.jsonl", rows[:3])
    splits = LabelSetReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert (len(splits.train), len(splits.test), splits.unlabelled) == (6, 3, ("text 3", "text 7"))
    assert [example.gold for example in splits.train[:3]] == [["a"], ["b"], []]
    write_lines(tmp_path / "test.jsonl", rows[:4])
    with pytest.raises(DataError, match=r"test\.jsonl:4: no label \(1 such rows\)"):
        LabelSetReader().read(DataConfig(path=str(tmp_path)), seed=1)


def test_splits_have_the_same_share_of_every_label(tmp_path):
    random = np.random.default_rng(0)
    shares = {"frequent": 0.5, "usual": 0.2, "rare": 0.03, "rarest": 0.02}
    rows = [{"text": f"text {i}", "labels": [name for name, share in shares.items() if random.random() < share]}
            for i in range(800)]
    path = write_lines(tmp_path / "a.jsonl", rows)
    total = Counter(label for row in rows for label in row["labels"])
    for seed in range(5):
        splits = LabelSetReader().read(DataConfig(path=str(path), dev_share=0.0), seed=seed)
        assert len(splits.test) == pytest.approx(200, abs=2)
        test = Counter(label for example in splits.test for label in example.gold)
        for label in ("rare", "rarest"):  # each is a stratum, or is decided by the stratum of a rarer label
            assert test[label] == pytest.approx(total[label] / 4, abs=2)
        for label in ("frequent", "usual"):  # at random, within the strata of rarer labels
            n = total[label]
            assert test[label] == pytest.approx(n / 4, abs=3 * (n * 0.25 * 0.75) ** 0.5)
        assert not {example.key for example in splits.test} & {example.key for example in splits.train}


def test_a_limit_draws_labels_evenly(tmp_path):
    rows = [{"text": f"text {i}", "labels": ["rare"] if i % 20 == 0 else ["frequent"]} for i in range(400)]
    path = write_lines(tmp_path / "a.jsonl", rows)
    train = LabelSetReader().read(DataConfig(path=str(path), limit_train=20), seed=1).train
    assert Counter(label for example in train for label in example.gold) == {"rare": 10, "frequent": 10}


def test_numbers_are_read_and_missing_ones_are_unlabelled_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tscore\none\t1.5\ntwo\t-2e1\nthree\t\nfour\t0,5\n")
    assert [example.value for example in read(path, RatingReader)] == [1.5, -20.0, None, 0.5]
    path = write_lines(tmp_path / "a.jsonl", [{"text_a": "one", "text_b": "two", "similarity": 4}])
    assert read(path, RatingReader) == (RatedExample("one", 4.0, f"{path}:1", "two"),)


@pytest.mark.parametrize("cell", ["good", "nan", "inf", "-Infinity", "1e999", "1,500", "true"])
def test_other_cells_than_finite_numbers_are_refused_with_the_line(tmp_path, cell):
    path = tmp_path / "a.tsv"
    path.write_text(f"text\tscore\none\t1\ntwo\t{cell}\n")
    with pytest.raises(DataError, match=rf"a\.tsv:3: .*{cell}"):
        read(path, RatingReader)


def test_splits_of_numbers_have_the_same_distribution(tmp_path):
    values = np.random.default_rng(0).exponential(size=400)
    path = tmp_path / "a.tsv"
    path.write_text("text\tscore\n" + "".join(f"text {i}\t{value}\n" for i, value in enumerate(values)))
    splits = RatingReader().read(DataConfig(path=str(path), dev_share=0.0), seed=3)
    bins = np.searchsorted(np.quantile(values, np.arange(1, 10) / 10), [one.value for one in splits.test])
    assert np.bincount(bins, minlength=10).tolist() == [10] * 10


def test_few_numbers_are_split_at_random(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tscore\n" + "".join(f"text {i}\t{i}\n" for i in range(8)))
    splits = RatingReader().read(DataConfig(path=str(path)), seed=1)
    assert (len(splits.train), len(splits.test)) == (6, 2)
