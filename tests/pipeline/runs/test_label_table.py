"""The table of the labels in the report has a bounded number of rows."""

from pipeline.runs.label_table import MAX_ROWS, label_tables


def row(f1=0.5, support=1):
    return {"precision": 0.5, "recall": 0.5, "f1": f1, "support": support}


def test_a_few_labels_are_one_table_and_none_is_no_table():
    assert label_tables({}) == []
    (table,) = label_tables({"a": row(), "b": row()})
    assert (table.caption, list(table.rows)) == ("", ["a", "b"])


def test_of_many_labels_the_largest_and_the_worst():
    by_label = {f"l{i}": row(f1=i % 100 / 100, support=i) for i in range(1_000)}
    largest, worst = label_tables(by_label)
    assert list(largest.rows) == [f"l{999 - i}" for i in range(MAX_ROWS // 2)]
    assert "25 of 1,000 labels" in largest.caption
    assert [of["f1"] for of in worst.rows.values()] == [0.0] * 9 + [0.01] * 10 + [0.02] * 6
    assert list(worst.rows)[:2] == ["l900", "l800"]  # of equal ones those with most examples; l0 has none


def test_labels_without_examples_are_not_the_worst():
    by_label = {f"l{i}": row(f1=0.0, support=int(i < 3)) for i in range(100)}
    assert list(label_tables(by_label)[1].rows) == ["l0", "l1", "l2"]
