"""Parquet and Arrow files, class names, and folders of Hugging Face."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tables import read_rows
from pipeline.errors import DataError

CLASS = {"names": ["delivery", "billing"], "_type": "ClassLabel"}


def rows_of(n=8, label=lambda i: i % 2, **more):
    columns = {"text": [f"text {i}" for i in range(n)], "label": [label(i) for i in range(n)], **more}
    return pa.table(columns)


def described(table, **features):
    content = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, **features}}}
    return table.replace_schema_metadata({b"huggingface": json.dumps(content).encode()})


def write_stream(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return path


def write_file(path, table):
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return path


def write_parquet(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path)
    return path


WRITERS = [(write_stream, ".arrow"), (write_file, ".arrow"), (write_parquet, ".parquet")]


def labels(path):
    return [example.label for example in LabelledReader().read_file(path, DataConfig())]


@pytest.mark.parametrize(("write", "suffix"), WRITERS)
def test_numbers_of_classes_become_their_names(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", described(rows_of(), label=CLASS))
    assert labels(path) == ["delivery", "billing"] * 4
    assert [row.line for row in read_rows(path)] == list(range(1, 9))
    assert labels(write(tmp_path / f"b{suffix}", rows_of())) == ["0", "1"] * 4


@pytest.mark.parametrize(
    "feature", [{"feature": CLASS, "_type": "Sequence"}, {"feature": CLASS, "_type": "List"}, [CLASS]])
def test_lists_of_classes(tmp_path, feature):
    table = pa.table({"text": ["a", "b", "c"], "labels": pa.array([[0, 1], [], None], pa.list_(pa.int64()))})
    rows = read_rows(write_parquet(tmp_path / "a.parquet", described(table, labels=feature)))
    assert [row.cells["labels"] for row in rows] == [["delivery", "billing"], [], None]


def test_minus_one_is_no_label_and_other_numbers_are_refused(tmp_path):
    table = described(rows_of(3, lambda i: (0, -1, None)[i]), label=CLASS)
    assert labels(write_parquet(tmp_path / "a.parquet", table)) == ["delivery", "", ""]
    with pytest.raises(DataError, match=r"b\.parquet:3: 'label' is class 2, but the file names 2 classes"):
        labels(write_parquet(tmp_path / "b.parquet", described(rows_of(3, lambda i: i), label=CLASS)))


def test_class_names_beside_the_file(tmp_path):
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"label": CLASS}}))
    assert labels(write_stream(tmp_path / "a.arrow", rows_of())) == ["delivery", "billing"] * 4


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"info": 3}', b'{"info": {"features": {"label": 5}}}', b"[" * 99_999])
def test_metadata_of_another_writer_are_ignored(tmp_path, content):
    path = write_parquet(tmp_path / "a.parquet", rows_of().replace_schema_metadata({b"huggingface": content}))
    assert labels(path) == ["0", "1"] * 4


def test_times_and_other_types(tmp_path):
    table = pa.table({
        "text": pa.array([0, 10**18 + 1], pa.timestamp("ns")), "label": [datetime.date(2020, 1, 2), None],
        "far": pa.array([2**40, 0], pa.timestamp("s")), "long": pa.array(["x", "y"], pa.large_string()),
        "dictionary": pa.array(["x", "x"]).dictionary_encode(), "fixed": pa.array([b"ab", b"cd"], pa.binary(2)),
    })
    rows = read_rows(write_parquet(tmp_path / "a.parquet", table))
    assert [row.text("text")[:10] for row in rows] == ["1970-01-01", "2001-09-09"]
    assert [row.label("label") for row in rows] == ["2020-01-02", ""]
    texts = [[row.text(name) for row in rows] for name in ("long", "dictionary", "fixed")]
    assert texts == [["x", "y"], ["x", "x"], ["ab", "cd"]]


@pytest.mark.parametrize(("write", "suffix"), WRITERS)
def test_strings_that_are_not_utf8_are_one_message(tmp_path, write, suffix):
    offsets = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0")
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
    with pytest.raises(DataError, match="the column 'text' has strings that are not UTF-8, between row 1 and row 2"):
        read_rows(write(tmp_path / f"a{suffix}", pa.table({"text": bad, "label": ["x", "y"]})))


def test_repeated_and_many_columns(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], ["text", "label", "label"])
    with pytest.raises(DataError, match="2 columns are called 'label'"):
        labels(write_stream(tmp_path / "a.arrow", table))
    with pytest.raises(DataError, match="20,000 columns; at most 10,000 are read"):
        read_rows(write_parquet(tmp_path / "b.parquet", pa.table({f"c{i}": [1] for i in range(20_000)})))


def test_a_table_that_expands_beyond_its_file_is_refused(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", pa.table({"text": pa.nulls(5_000_000, pa.string())}))
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match="needs more than 200 times the memory of its size"):
        read_rows(path)


def read(folder):
    return LabelledReader().read(DataConfig(path=str(folder)), seed=1)


def sizes(splits):
    return len(splits.train), len(splits.dev), len(splits.test)


def test_a_saved_data_set_with_parts(tmp_path):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test", "validation"]}')
    for part, n in (("train", 12), ("test", 4), ("validation", 6)):
        for i, rows in enumerate((rows_of(n - 2), rows_of(2))):
            write_stream(tmp_path / part / f"data-{i:05}-of-00002.arrow", rows)
        (tmp_path / part / "dataset_info.json").write_text(json.dumps({"features": {"label": CLASS}}))
        files = [{"filename": f"data-{i:05}-of-00002.arrow"} for i in range(2)]
        (tmp_path / part / "state.json").write_text(json.dumps({"_data_files": files}))
    splits = read(tmp_path)
    assert sizes(splits) == (12, 6, 4)
    assert {example.label for example in splits.test} == {"delivery", "billing"}
    assert splits.test[-1].where == f"{tmp_path / 'test' / 'data-00001-of-00002.arrow'}:2"
    (tmp_path / "test" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"data-00001-of-00002\.arrow: no such file, but state\.json lists it"):
        read(tmp_path)


def test_a_saved_data_set_without_parts_is_split(tmp_path):
    write_stream(tmp_path / "data-00000-of-00001.arrow", rows_of(16))
    assert sizes(read(tmp_path)) == (12, 0, 4)
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"state\.json: not what save_to_disk writes"):
        read(tmp_path)


@pytest.mark.parametrize("inner", ["", "data", "plain_text"])
def test_shards_of_a_repository(tmp_path, inner):
    for i in range(2):
        write_parquet(tmp_path / inner / f"train-{i:05}-of-00002.parquet", described(rows_of(), label=CLASS))
    write_parquet(tmp_path / inner / "test-00000-of-00001-0123456789abcdef.parquet", described(rows_of(4), label=CLASS))
    splits = read(tmp_path)
    assert sizes(splits) == (16, 0, 4)
    assert {example.label for example in splits.train} == {"delivery", "billing"}
    (tmp_path / inner / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"1 of the 2 files train-\*-of-00002 exist; download the others"):
        read(tmp_path)


def test_two_configurations_of_a_repository_are_refused(tmp_path):
    for name in ("first", "second"):
        write_parquet(tmp_path / name / "train-00000-of-00001.parquet", rows_of())
    with pytest.raises(DataError, match="'first' and 'second' have files of the same part; name one of these folders"):
        read(tmp_path)
    assert sizes(read(tmp_path / "first")) == (6, 0, 2)


def test_files_of_a_part_in_its_folder(tmp_path):
    write_parquet(tmp_path / "train" / "0000.parquet", rows_of())
    write_parquet(tmp_path / "test" / "0000.parquet", rows_of(4))
    assert sizes(read(tmp_path)) == (8, 0, 4)


def test_formats_that_were_added_later_do_not_hide_earlier_ones(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.tsv").write_text("text\tlabel\nfrom tsv\tx\nand this\ty\n")
        (tmp_path / f"{part}.txt").write_text("raw text\n")
        (tmp_path / f"{part}.json").write_text("[]")
    assert {example.text for example in read(tmp_path).train} == {"from tsv", "and this"}
