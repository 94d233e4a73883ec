"""Columns under several spellings, several columns of text, and the texts of tables."""

import json

import pytest

from pipeline.config import RunConfig
from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.columns import texts_of_table
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read(path, **config):
    with findings.collecting() as found:
        examples = LabelledReader().read_file(path, DataConfig(**config))
    return [(example.text, example.label) for example in examples], found


def test_labels_under_another_spelling_of_the_key_are_read(tmp_path):
    keys = ("label", "Label", " LABEL")
    path = write(tmp_path / "a.jsonl", [{"text": f"t{i}", keys[i % 3]: "ab"[i % 2]} for i in range(9)])
    examples, found = read(path)
    assert examples == [(f"t{i}", "ab"[i % 2]) for i in range(9)]
    assert found.notes == [f"{path}: 'Label', ' LABEL' are read as 'label' (6 rows)"]
    assert read(path, label_column="Label")[0] == examples


def test_two_values_under_two_spellings_are_refused_or_chosen(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "t", "label": "a"}, {"text": "u", "label": "a", "Label": "b"}])
    with pytest.raises(DataError, match=r"a\.jsonl:2: both 'label' and 'Label' have a value; choose one"):
        read(path)
    assert read(path, label_column="label")[0] == [("t", "a"), ("u", "a")]


def test_the_columns_are_those_of_all_rows(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "t"}, {"text": "u", "label": "a"}, {"label": "b", "text": "v"}])
    for config in ({}, {"label_column": "label"}):
        examples, found = read(path, **config)
        assert examples == [("t", ""), ("u", "a"), ("v", "b")]
        assert found.warnings == [f"{path}:1: no 'label' in 1 of 3 rows (the first is in this line); they are "
                                  "unlabelled text"]


def test_a_repeated_key_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "t", "label": "a"}\n{"text": "t", "label": "a", "label": "b"}\n')
    with pytest.raises(DataError, match="the key 'label' occurs twice in line 2"):
        read(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_text('{"text": "t", "label": "a", "id": {"x": 1, "x": 2}}\n')
    assert read(tmp_path / "b.jsonl")[0] == [("t", "a")]


def test_several_columns_are_joined(tmp_path):
    path = tmp_path / "mails.csv"
    path.write_text("Subject,Message,Label\nlate, where is it? ,x\n,only this,y\n,,x\n")
    examples, found = read(path, text_column=("Subject", "Message"))
    assert examples == [("late\nwhere is it?", "x"), ("only this", "y")]
    assert found.unused["empty (left out)"].first == f"{path}:4"
    with pytest.raises(DataError, match="no column 'Body'; choose one of 'Subject', 'Message', 'Label'"):
        read(path, text_column=("Subject", "Body"))
    with pytest.raises(ValueError, match="names a column twice: Subject, Subject"):
        DataConfig(text_column=("Subject", "Subject"))


@pytest.mark.parametrize("value", ["", "Subject", ["Subject", "Message"]])
def test_one_or_several_text_columns_in_a_configuration(tmp_path, value):
    config = RunConfig.from_mapping({"data": {"text_column": value}})
    config.save(tmp_path / "config.toml")
    assert RunConfig.load(tmp_path / "config.toml") == config
    assert config.data.text_column == (value if isinstance(value, str) else tuple(value))


def test_the_texts_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("label;text\nx;one\ny;two\nx;\n")
    assert list(texts_of_table(tmp_path / "a.csv", DataConfig())) == ["one", "two"]
    (tmp_path / "pairs.csv").write_text("premise,hypothesis\na,b\nc,d\n")
    assert list(texts_of_table(tmp_path / "pairs.csv", DataConfig())) == ["a", "b", "c", "d"]
    (tmp_path / "none.csv").write_text("x,y\na,b\n")
    with pytest.raises(DataError, match="none of the columns 'x', 'y' has a usual name"):
        list(texts_of_table(tmp_path / "none.csv", DataConfig()))
