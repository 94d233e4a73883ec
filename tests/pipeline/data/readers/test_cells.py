"""The value of a cell as a text, a label, labels and a number."""

import datetime
import json
import math
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers import cells
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.rows import Row
from pipeline.errors import DataError

NAN = float("nan")


def row(value):
    return Row.of({"c": value}, 7, Path("a.jsonl"))


@pytest.mark.parametrize("value", [None, NAN, Decimal("NaN"), Decimal("sNaN"), "", " \t", [], b""])
def test_missing_values(value):
    assert row(value).is_missing("c")
    assert row(value).text("c").strip() == ""
    assert row(value).label("c") == ""
    assert row(value).labels("c") == []
    with pytest.raises(DataError, match=r"a\.jsonl:7: no value in the column 'c'; correct the row"):
        row(value).number("c")


def test_a_row_may_lack_a_column():
    assert Row.of({}, 1, Path("a")).is_missing("c")
    assert Row.of({}, 1, Path("a")).text("c") == ""
    assert Row.of({}, 1, Path("a")).is_unlabelled("c")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is ", "as it is "), (1, "1"), (1.5, "1.5"), (1.0, "1.0"), (10**20, "100000000000000000000"),
        (True, "true"), (False, "false"), (Decimal("1.50"), "1.50"), (datetime.date(2020, 1, 2), "2020-01-02"),
        ("caf\u00e9".encode(), "caf\u00e9"), ("a\ud800b", "a\ufffdb"), ("NaN", "NaN"), (math.inf, "Infinity"),
    ],
)
def test_scalars(value, text):
    assert row(value).text("c") == text
    assert row(value).label("c") == text.strip()
    assert row([value]).label("c") == text.strip()
    assert not row(value).is_missing("c")


def test_a_list_is_tokens_or_labels():
    assert row(["where", "is", "it"]).text("c") == "where is it"
    assert row(["a"]).label("c") == "a"
    assert row([" b ", "a", "b", None]).labels("c") == ["b", "a"]
    assert row("a, b,,a").labels("c", ",") == ["a", "b"]
    assert row("a, b").labels("c") == ["a, b"]
    assert row("['a', \"b\"]").labels("c") == ["a", "b"]
    assert row("['a']").label("c") == "a"
    assert row("[a]").label("c") == "[a]"
    assert row("[1]").label("c") == "[1]"


def test_no_labels_and_unknown_labels_differ():
    assert not row([]).is_unlabelled("c")
    assert row(None).is_unlabelled("c")


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({"a": 1}, "text", r"a\.jsonl:7: 'c' is an object .*--text-column NAME"),
        ([1, 2], "text", r"a\.jsonl:7: 'c' is a list whose elements are not all strings"),
        (b"\xff", "text", r"a\.jsonl:7: 'c' is bytes that are not UTF-8"),
        ({"a": 1}, "label", r"a\.jsonl:7: 'c' is an object .*--label-column NAME"),
        (["a", "b"], "label", r"a\.jsonl:7: 'c' has several labels .*use --task multi-label"),
        ("['a', 'b']", "label", r"a\.jsonl:7: 'c' has several labels .*use --task multi-label"),
        ([["a"]], "labels", r"a\.jsonl:7: 'c' is a list inside a list"),
        (True, "number", r"a\.jsonl:7: True, which is not a finite number, in the column 'c'"),
        ("1,234", "number", r"a\.jsonl:7: 'c' is '1,234', whose comma can be decimal or separate thousands"),
        ("inf", "number", "not a finite number"),
        ("x" * 1000, "number", "x{60}…, which is not a finite number"),
    ],
)
def test_other_shapes_are_refused(value, kind, message):
    with pytest.raises(DataError, match=message):
        getattr(row(value), kind)("c")


def test_numbers():
    assert [row(value).number("c") for value in (3, 2.5, " 4 ", "1,5", "-0,25", Decimal("0.5"), [2])] == [
        3, 2.5, 4, 1.5, -0.25, 0.5, 2]


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(max_size=9),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(value=JSON, kind=st.sampled_from(["text", "label", "labels", "number"]))
def test_any_value_is_converted_or_refused(value, kind):
    try:
        found = getattr(row(value), kind)("c")
    except DataError as error:
        assert "a.jsonl:7" in str(error)
        assert len(str(error)) < 400
    else:
        for part in found if isinstance(found, list) else [found]:
            str(part).encode()


def write(path, rows):
    path.write_text("".join(json.dumps(record) + "\n" for record in rows), encoding="utf-8")
    return path


def labels(path, **config):
    return sorted({example.label for example in LabelledReader().read_file(path, DataConfig(**config))})


def test_columns_of_lists_bytes_decimals_and_nan(tmp_path):
    path = write(tmp_path / "a.jsonl", [{"text": "x", "label": ["a"]}, {"text": "y", "label": NAN}])
    assert labels(path) == ["", "a"]
    table = pa.table({"text": [b"x", "\u00e9".encode()], "label": [Decimal("1.5"), None]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    examples = LabelledReader().read_file(tmp_path / "a.parquet", DataConfig())
    assert [(example.text, example.label) for example in examples] == [("x", "1.5"), ("\u00e9", "")]
    with pytest.raises(DataError, match=r"b\.jsonl:2: 'label' has several labels"):
        labels(write(tmp_path / "b.jsonl", [{"text": "x", "label": ["a"]}, {"text": "y", "label": ["a", "b"]}]))


def test_a_long_value_is_shortened():
    assert cells.shown("x" * 100) == "x" * 60 + "…"
