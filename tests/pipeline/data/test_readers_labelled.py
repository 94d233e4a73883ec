"""Data sets by name, from a folder and from one file: how they are split, and what is refused."""

import gzip
import logging
from collections import Counter

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers import bbc
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError

ROWS = [(f"text {i}", "ab"[i % 2]) for i in range(1200)]


def write(folder, **parts):
    for name, rows in parts.items():
        lines = [f"{text}\t{label}\n" for text, label in rows]
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "".join(lines), encoding="utf-8")
    return folder


def read(path, seed=1, **config):
    return LabelledReader().read(DataConfig(path=str(path), **config), seed=seed)


def sizes(splits):
    return [len(part) for part in (splits.train, splits.dev, splits.test, splits.unlabelled)]


def texts(splits):
    return [*(example.text for example in splits.train + splits.dev + splits.test), *splits.unlabelled]


def warnings(caplog):
    return [message for name, level, message in caplog.record_tuples if (name, level) == ("vecformer", logging.WARNING)]


@pytest.mark.parametrize(("train", "dev"), [("train", "dev"), ("training", "valid"), ("train", "validation")])
def test_a_folder_keeps_its_parts(tmp_path, train, dev):
    splits = read(write(tmp_path, **{train: ROWS[:20], dev: ROWS[20:26], "test": ROWS[26:40]}))
    assert sizes(splits) == [20, 6, 14, 0]
    assert splits.name == tmp_path.name
    assert [(e.text, e.label) for e in splits.train] == ROWS[:20]
    assert splits.train[0].where == f"{tmp_path / f'{train}.tsv'}:2"


def test_unlabelled_texts_are_in_a_separate_file(tmp_path):
    folder = write(tmp_path, train=ROWS[:20], test=ROWS[20:40])
    (folder / "unlabelled.txt").write_text("one\n\n two \n")
    assert read(folder).unlabelled == ("one", "two")
    (folder / "unlabelled.txt").unlink()
    (folder / "unlabelled.txt.gz").write_bytes(gzip.compress(b"three\n"))
    assert read(folder).unlabelled == ("three",)
    (folder / "unlabelled.txt.gz").unlink()
    (folder / "unlabelled.tsv").write_text("id\ttext\n1\tfour\n")
    assert read(folder).unlabelled == ("four",)


def test_one_file_is_split_by_the_seed(tmp_path):
    file = write(tmp_path, data=ROWS) / "data.tsv"
    splits = read(file)
    assert sizes(splits) == [810, 90, 300, 0]
    assert splits.name == "data"
    assert sorted(texts(splits)) == sorted(text for text, _ in ROWS)
    assert Counter(example.label for example in splits.test) == {"a": 150, "b": 150}
    assert read(file) == splits != read(file, seed=2)
    assert sizes(read(file, test_share=0.5, dev_share=0)) == [600, 0, 600, 0]


def test_texts_that_differ_by_outer_spaces_only_stay_on_one_side(tmp_path):
    twice = [(text + space, label) for text, label in ROWS[:100] for space in ("", " ")]
    splits = read(write(tmp_path, data=twice) / "data.tsv")
    assert sizes(splits) == [152, 0, 48, 0]
    assert not {e.text.strip() for e in splits.train} & {e.text.strip() for e in splits.test}


def test_texts_beyond_the_limit_are_unlabelled(tmp_path):
    splits = read(write(tmp_path, data=ROWS) / "data.tsv", limit_train=600)
    assert sizes(splits) == [540, 60, 300, 300]
    assert Counter(example.label for example in splits.train) == {"a": 270, "b": 270}
    assert sorted(texts(splits)) == sorted(text for text, _ in ROWS)


def test_a_limit_above_the_number_of_examples_is_reported(tmp_path, caplog):
    splits = read(write(tmp_path, train=ROWS[:20], test=ROWS[20:40]), limit_train=30)
    assert sizes(splits) == [20, 0, 20, 0]
    assert warnings(caplog) == ["data.limit_train=30 has no effect: there are 20 labelled examples"]


@pytest.mark.parametrize("label", ["", "  "])
def test_training_rows_without_a_label_are_unlabelled(tmp_path, label):
    splits = read(write(tmp_path, train=[("bare", label), *ROWS[:20]], test=ROWS[20:40]))
    assert sizes(splits) == [20, 0, 20, 1]
    assert splits.unlabelled == ("bare",)


def test_few_labels_are_all_trained_on(tmp_path):
    assert sizes(read(write(tmp_path, train=ROWS[:100], test=ROWS[100:110]))) == [100, 0, 10, 0]


def test_leaks_between_files_are_reported(tmp_path, caplog):
    read(write(tmp_path, train=ROWS[:20], test=ROWS[15:40]))
    assert warnings(caplog) == ["5 of the 25 test texts are also in the training file"]


def test_no_leak_no_warning(tmp_path, caplog):
    read(write(tmp_path, train=ROWS[:20], test=ROWS[20:40]))
    read(write(tmp_path, data=ROWS[:20] * 3) / "data.tsv")
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"test": ROWS[:9]}, r"no file train\.\*"),
        ({"train": ROWS[:9], "test": [*ROWS[:3], ("x", ""), ("y", "")]}, r"test\.tsv:5: no label \(2 such rows\)"),
        ({"train": ROWS[:9], "dev": [("x", "")], "test": ROWS[:3]}, r"dev\.tsv:2: no label \(1 such rows\)"),
        ({"train": ROWS[:9], "dev": ROWS[:9], "valid": ROWS[:9]}, r"both dev\.tsv and valid\.tsv exist; keep one"),
        ({"train": ROWS[:9], "training": ROWS[:9]}, r"both train\.tsv and training\.tsv exist"),
        ({"train": ROWS[:1]}, r"one example is too few"),
        ({"train": ROWS[:9], "test": []}, r"test\.tsv: the file has no rows"),
    ],
)
def test_invalid_folders_are_refused(tmp_path, parts, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, **parts))


def test_one_part_in_two_formats_is_refused(tmp_path):
    write(tmp_path, train=ROWS[:9])
    (tmp_path / "train.csv").write_text("text,label\nx,y\n")
    with pytest.raises(DataError, match="exist; keep one train file"):
        read(tmp_path)


@pytest.mark.parametrize(("path", "message"), [("", "no data; add --data"), ("nowhere", "nowhere: no such file")])
def test_no_data(path, message):
    with pytest.raises(DataError, match=message):
        read(path)


def test_columns_are_found_and_chosen(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("Title,Body,Topic,Mood\n" + "".join(f"t{i},b{i},{'xy'[i % 2]},{'uv'[i % 2]}\n" for i in range(8)))
    assert {e.text[0] + e.label for e in read(file).train} == {"bx", "by"}
    chosen = read(file, text_column="Title", label_column="Mood")
    assert {e.text[0] + e.label for e in chosen.train} == {"tu", "tv"}
    with pytest.raises(DataError, match="no column 'title'; choose one of 'Title', 'Body', 'Topic', 'Mood'"):
        read(file, text_column="title")


def test_rows_without_a_text_are_left_out_and_counted(tmp_path, caplog):
    rows = [f'{{"text": "t{i}", "label": "{"ab"[i % 2]}"}}' for i in range(8)]
    empty = ['{"label": "b"}', '{"text": null, "label": "a"}', '{"text": " ", "label": "a"}']
    (tmp_path / "data.jsonl").write_text("\n".join([*rows, *empty]))
    splits = read(tmp_path / "data.jsonl")
    assert sizes(splits) == [6, 0, 2, 0]
    assert splits.findings.summary == "11 rows: 6 train, 2 test, 3 empty (left out)"
    splits.findings.log()
    assert f"3 rows are empty (left out); the first is {tmp_path / 'data.jsonl'}:9" in caplog.messages


def test_evaluation_files_need_labels(tmp_path):
    write(tmp_path, good=[("x", " a ")], bad=[("x", "")])
    assert [e.label for e in LabelledReader().read_examples(tmp_path / "good.tsv", DataConfig())] == ["a"]
    with pytest.raises(DataError, match=r"bad\.tsv:2: no label"):
        LabelledReader().read_examples(tmp_path / "bad.tsv", DataConfig())


def test_bbc_has_no_duplicates():
    splits = read("bbc", limit_train=50)
    assert splits.name == "bbc"
    assert len(splits.test) >= 500
    assert Counter(example.label for example in splits.train) == dict.fromkeys(
        ["business", "entertainment", "politics", "sports", "tech"], 10
    )
    everything = texts(splits)
    assert len(everything) == len(set(everything)) == 2127
    assert not any("\ufffd" in text for text in everything)


def test_a_folder_called_bbc_takes_precedence_over_the_name(tmp_path, monkeypatch):
    (tmp_path / "bbc").mkdir()
    write(tmp_path / "bbc", train=ROWS[:20], test=ROWS[20:40])
    monkeypatch.chdir(tmp_path)
    assert sizes(read("bbc")) == [20, 0, 20, 0]


def test_bbc_not_installed(monkeypatch):
    monkeypatch.setattr(bbc, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(DataError, match=r"pip install 'vecformer\[demo\]'"):
        read("bbc")


@pytest.mark.parametrize("names", ["text_a text_b", "sentence1 sentence2", "Premise Hypothesis", "question1 question2",
                                   "sentence_A sentence_B"])
def test_pairs_are_found_by_their_columns(tmp_path, names):
    first, second = names.split()
    (tmp_path / "data.tsv").write_text(f"{second}\t{first}\tlabel\n" + "b\ta\tx\n" + "d\tc\ty\n")
    examples = LabelledReader().read_examples(tmp_path / "data.tsv", DataConfig())
    assert [(e.text, e.text_b, e.label) for e in examples] == [("a", "b", "x"), ("c", "d", "y")]


def test_a_configured_second_column_is_used(tmp_path):
    (tmp_path / "data.csv").write_text("question,sentence,text_a,text_b,label\nq,s,a,b,x\n")
    single = LabelledReader().read_examples(tmp_path / "data.csv", DataConfig())[0]
    pair = LabelledReader().read_examples(tmp_path / "data.csv", DataConfig(text_b_column="sentence"))[0]
    assert (single.text, single.text_b) == ("s", "")
    assert (pair.text, pair.text_b) == ("q", "s")
    chosen = DataConfig(text_column="text_a", text_b_column="text_b")
    assert LabelledReader().read_examples(tmp_path / "data.csv", chosen)[0].key == ("a", "b")
    with pytest.raises(DataError, match="no column 'none'; choose one of 'question'"):
        LabelledReader().read_examples(tmp_path / "data.csv", DataConfig(text_b_column="none"))


def test_pairs_are_equal_if_both_texts_are(tmp_path, caplog):
    (tmp_path / "train.tsv").write_text("text_a\ttext_b\tlabel\na\tb\tx\na\tc\ty\nd\te\t\n")
    (tmp_path / "test.tsv").write_text("text_a\ttext_b\tlabel\na\tb \tx\nb\ta\ty\n")
    (tmp_path / "unlabelled.tsv").write_text("text_a\ttext_b\nf\tg\n")
    assert read(tmp_path).unlabelled == ("f", "g", "d", "e")
    assert warnings(caplog) == ["1 of the 2 test texts are also in the training file"]


def test_unusual_names_of_both_columns_are_one_message(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Betreff;Nachricht;Kategorie\nHallo;Wo ist das Paket?;Lieferung\n")
    with pytest.raises(DataError, match=r"'Betreff', 'Nachricht', 'Kategorie' has a usual name of a text or a label; "
                                        r"choose them with --text-column NAME and --label-column NAME"):
        LabelledReader().read(DataConfig(path=str(path)), seed=1)
