"""Damaged tables of every format: rows or one message of bounded length, in bounded time."""

import bz2
import gzip
import io
import json
import lzma
import time

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError

ROWS = [(f'w\u00f6rd {i}, yes; "no"', "ab"[i % 2]) for i in range(12)]
CSV = "text;label\r\n" + "".join('"{}";{}\r\n'.format(text.replace('"', '""'), label) for text, label in ROWS)
TSV = "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)
RECORDS = [{"text": text, "label": label, "more": {"k": [1, None]}} for text, label in ROWS]


def arrow(write):
    names = {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}}}
    columns = {"text": [text for text, _ in ROWS], "label": [i % 2 for i in range(12)], "tags": [["x", "y"]] * 12}
    table = pa.table(columns)
    table = table.replace_schema_metadata({b"huggingface": json.dumps(names).encode()})
    target = io.BytesIO()
    write(target, table)
    return target.getvalue()


def stream(target, table):
    with pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table)


def file(target, table):
    with pa.ipc.new_file(target, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


GOOD = [
    (".csv", CSV.encode()), (".csv", CSV.encode("cp1252")), (".csv", CSV.encode("utf-16")),
    (".csv", ("sep=;\r\n" + CSV).encode("utf-8-sig")), (".tsv", TSV.encode("utf-16-le")), (".tsv", TSV.encode()),
    (".csv.gz", gzip.compress(CSV.encode())), (".csv.bz2", bz2.compress(CSV.encode())),
    (".tsv.xz", lzma.compress(TSV.encode())), (".tsv.zst", zstandard.compress(TSV.encode())),
    (".jsonl", "\n".join(map(json.dumps, RECORDS)).encode()), (".json", json.dumps(RECORDS, indent=1).encode()),
    (".json", json.dumps({"version": 1, "data": RECORDS}).encode()),
    (".txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS).encode()),
    (".parquet", arrow(lambda target, table: pyarrow.parquet.write_table(table, target))),
    (".parquet", arrow(lambda target, table: pyarrow.parquet.write_table(table, target, use_dictionary=False))),
    (".arrow", arrow(stream)), (".arrow", arrow(file)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def read_or_one_message(folder, suffix, content):
    path = folder / f"data{suffix}"
    path.write_bytes(content)
    began = time.process_time()
    try:
        assert LabelledReader().read_file(path, DataConfig()) or True
    except DataError as error:
        assert "data" in str(error)
        assert len(str(error)) < 1500
    assert time.process_time() - began < 5


def test_the_files_are_good(folder):
    for suffix, content in GOOD:
        path = folder / f"good{suffix}"
        path.write_bytes(content)
        assert [(e.text, e.label) for e in LabelledReader().read_file(path, DataConfig())] == ROWS


@settings(max_examples=300, deadline=None)
@given(good=st.sampled_from(GOOD), at=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=12),
       kind=st.sampled_from(["cut", "insert", "replace", "delete", "flip", "repeat"]), bit=st.integers(0, 7))
def test_damaged_tables(folder, good, at, junk, kind, bit):
    suffix, content = good
    i = int(at * len(content))
    damaged = {
        "cut": content[:i],
        "insert": content[:i] + junk + content[i:],
        "replace": content[:i] + junk + content[i + len(junk):],
        "delete": content[:i] + content[i + len(junk) + 1:],
        "flip": content[:i] + bytes([content[i] ^ 1 << bit]) + content[i + 1:],
        "repeat": content[:i] + content[i:i + 100] + content[i:],
    }[kind]
    read_or_one_message(folder, suffix, damaged)


@settings(max_examples=150, deadline=None)
@given(suffix=st.sampled_from(sorted({suffix for suffix, _ in GOOD})), content=st.binary(max_size=200))
def test_any_bytes(folder, suffix, content):
    read_or_one_message(folder, suffix, content)
