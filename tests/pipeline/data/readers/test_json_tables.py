"""Layouts of JSON: lines, lists and a list under the key data."""

import json
import time

import pytest

from pipeline.data.readers.tables import read_rows
from pipeline.errors import DataError

RECORDS = [{"text": "one, two", "label": "a"}, {"text": "caf\u00e9\n", "label": ["b"], "more": {"k": [1]}}]


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
@pytest.mark.parametrize("layout", ["lines", "list", "indented", "spaced"])
def test_lines_and_lists(tmp_path, name, layout):
    content = {"lines": "\n".join(map(json.dumps, RECORDS)), "list": json.dumps(RECORDS),
               "indented": json.dumps(RECORDS, indent=2), "spaced": f" \n[ {json.dumps(RECORDS)[1:-1]} \n]\n "}[layout]
    rows = read_rows(write(tmp_path / name, content))
    assert [row.cells for row in rows] == RECORDS
    assert rows.columns == ("text", "label", "more")
    assert [row.line for row in rows] == {"lines": [1, 2], "list": [1, 1], "indented": [2, 6], "spaced": [2, 2]}[layout]


@pytest.mark.parametrize(
    "document", [{"data": RECORDS}, {"version": "1", "about": {"data": []}, "data": RECORDS, "n": 2}])
@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_under_the_key_data(tmp_path, document, indent):
    assert [row.cells for row in read_rows(write(tmp_path / "a.json", json.dumps(document, indent=indent)))] == RECORDS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '[{"text": "a"},\n{"text": "b"}\n{"text": "c"}]', r"a\.json:3: not JSON \(expected , or \]"),
        ("a.json", '[{"text": "a"},\n{"text": }]', r"a\.json:2: not JSON"),
        ("a.json", '[{"text": "a"}', r"a\.json:1: not JSON \(expected , or \]"),
        ("a.json", '[{"text": "a"},\n\n3]', r"a\.json:3: expected an object"),
        ("a.json", '[{"text": "a"}]\n[{"text": "b"}]', r"a\.json:2: text after the end of the list"),
        ("a.json", '{\n"text": {"0": "a"},\n"label": {"0": "x"}\n}', r"a\.json: an object without a list under"),
        ("a.json", "[]", r"a\.json: the file has no rows"),
        ("a.json", '{"data": []}', r"a\.json: the file has no rows"),
        ("a.json", '{"data": [{"a":' + "[" * 100_000, r"a\.json:1: JSON that cannot be read"),
        ("a.json", '{"a": ' + "1" * 5000 + "}", r"a\.json:1: JSON that cannot be read"),
        ("a.json", "nothing", r"a\.json:1: not JSON"),
    ],
)
def test_other_layouts_are_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path / name, content))


def test_many_keys_are_one_short_message(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({f"c{i}": 1 for i in range(200_000)}))
    began = time.process_time()
    with pytest.raises(DataError, match="200,000 columns; at most 10,000 are read"):
        read_rows(path)
    assert time.process_time() - began < 5


def test_a_lone_surrogate_in_a_key(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"te\\ud800": "a"}\n{"te\\ud800": "b"}\n')
    assert [row.text("te\ufffd") for row in read_rows(path)] == ["a", "b"]
