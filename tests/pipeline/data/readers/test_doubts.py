"""Data folders whose files are not all read, columns that differ between files, and spellings of labels."""

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader


def table(n, names="text,label", labels=("a", "b"), prefix="t"):
    return f"{names}\n" + "".join(f"{prefix}{i},{labels[i % len(labels)]}\n" for i in range(n))


def read(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return LabelledReader().read(DataConfig(path=str(folder)), seed=1)


def test_names_of_parts_in_any_case(tmp_path):
    splits = read(tmp_path, Train__CSV=table(40), TEST__csv=table(9, prefix="u"))
    assert (len(splits.train), len(splits.test)) == (40, 9)
    assert splits.findings.warnings == []


@pytest.mark.parametrize("other", ["train__csv__gz", "train__json", "test_1__csv", "eval__tsv",
                                   "train-00000-of-00001__parquet"])
def test_other_files_of_parts_are_a_warning(other, tmp_path):
    splits = read(tmp_path, train__csv=table(40), test__csv=table(9, prefix="u"), **{other: table(5)})
    name = other.replace("__", ".")
    assert splits.findings.warnings == [f"{tmp_path}: not read: {name} (read: train.csv, test.csv); keep one file of "
                                        "each part, called train, dev or test"]


def test_other_files_are_a_note(tmp_path):
    splits = read(tmp_path, train__csv=table(40), more__csv="", README__txt="", notes__md="", dataset_info__json="{}")
    assert splits.findings.warnings == []
    assert splits.findings.notes == [f"{tmp_path}: not read: more.csv"]


@pytest.mark.parametrize(("names", "warning"), [
    ("Text,LABEL", ""),
    ("title,label", "the texts are in different columns: 'text' in train.csv and 'title' in test.csv;"),
    ("text,class", "the labels are in different columns: 'label' in train.csv and 'class' in test.csv;"),
])
def test_other_columns_in_another_file(names, warning, tmp_path):
    splits = read(tmp_path, train__csv=table(40), test__csv=table(9, names, prefix="u"))
    found = splits.findings.warnings
    assert [line[: len(warning)] for line in found] == ([warning] if warning else [])


@pytest.mark.parametrize(("labels", "shown"), [
    (("Pos", "pos"), "'Pos' (20), 'pos' (20)"), (("1", "1.0"), "'1' (20), '1.0' (20)"),
    (("1_0", "10"), ""),
    (("schön", "scho\u0308n"), "'scho\\u0308n' (20), 'sch\\xf6n' (20)"),
    (("x", "\u200bx"), "'x' (20), '\\u200bx' (20)"),
    (("a b", "a  b"), "'a  b' (20), 'a b' (20)"), (("1", "2"), ""), (("a", "b"), ""),
])
def test_spellings_of_a_label(labels, shown, tmp_path):
    splits = read(tmp_path, train__csv=table(40, labels=labels))
    expected = [f"labels that are spelled alike are different classes: {shown}; write each in one way if they are the "
                "same"] if shown else []
    assert splits.findings.warnings == expected


def test_spellings_are_compared_across_files(tmp_path):
    splits = read(tmp_path, train__csv=table(40, labels="12"), test__csv=table(8, labels=["1.0", "2.0"], prefix="u"))
    assert splits.findings.warnings == [
        "labels that are spelled alike are different classes: '1' (20), '1.0' (4); '2' (20), '2.0' (4); write each in "
        "one way if they are the same"]


def test_labels_that_may_mean_missing_values(tmp_path):
    splits = read(tmp_path, train__csv=table(40, labels=["a", "nan"]))
    assert "'nan' (20) is read as a label; if it means that there is none, empty the cells" in splits.findings.notes


def test_other_columns_with_usual_names_are_a_note(tmp_path):
    splits = read(tmp_path, train__csv="title,Text,label,topic\n" + "".join(f"a{i},b{i},x,y\n" for i in range(40)))
    path = tmp_path / "train.csv"
    assert splits.findings.notes == [
        f"{path}: column 'label' is read, not 'topic' (--label-column NAME chooses another)",
        f"{path}: column 'Text' is read, not 'title' (--text-column NAME chooses another)"]
    assert splits.train[0].text.startswith("b")
