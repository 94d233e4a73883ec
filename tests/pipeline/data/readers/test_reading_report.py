"""What a run prints after reading, and why data cannot be split."""

import logging

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.labelled import LabelledReader
from pipeline.errors import DataError


def read(path, **config):
    return LabelledReader().read(DataConfig(path=str(path), **config), seed=1)


def write(path, rows, header="text\tlabel"):
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


ROWS = [(f"text {i}", "ab"[i % 2]) for i in range(296)]


def test_rows_are_counted_by_their_use(tmp_path):
    path = write(tmp_path / "data.tsv", [*ROWS, ("bare", ""), ("bare too", " "), ("", "a"), (" ", "b")])
    found = read(path).findings
    assert found.summary == ("300 rows: 222 train, 74 test, 2 without a label (unlabelled text), 2 empty (left out)")
    assert found.warning_lines() == [f"2 rows are empty (left out); the first is {path}:300"]


def test_a_limit_and_a_file_of_unlabelled_texts(tmp_path):
    write(tmp_path / "train.tsv", ROWS[:40])
    write(tmp_path / "test.tsv", ROWS[40:50])
    write(tmp_path / "unlabelled.tsv", [("one",), ("two",)], header="text")
    assert read(tmp_path, limit_train=10).findings.summary == (
        "50 rows: 10 train, 10 test, 30 beyond the limit (unlabelled text); 2 unlabelled texts")


def test_data_without_empty_texts_are_read_as_before(tmp_path):
    splits = read(write(tmp_path / "data.tsv", ROWS))
    assert splits.findings.lines() == ["296 rows: 222 train, 74 test"]
    assert splits.findings.warning_lines() == []


def test_rare_labels_are_listed_with_their_counts(tmp_path):
    rows = [*ROWS, *((f"rare {i}", "refund") for i in range(4)), *((f"other {i}", "tax") for i in range(3))]
    assert read(write(tmp_path / "data.tsv", rows)).findings.notes == [
        "2 of 4 labels have fewer than 5 training examples: tax (2), refund (3)"]
    many = [(f"{i} {j}", f"label {i:03}" + "x" * 100) for i in range(50) for j in range(4)]
    (note,) = read(write(tmp_path / "many.tsv", many)).findings.notes
    assert note.endswith("and 40 more")
    assert len(note) < 700


def test_empty_texts_are_left_out_of_all_parts_and_of_evaluation(tmp_path):
    write(tmp_path / "train.tsv", [*ROWS[:20], ("", "a")])
    write(tmp_path / "test.tsv", [("", "b"), *ROWS[20:30]])
    splits = read(tmp_path)
    assert (len(splits.train), len(splits.test)) == (20, 10)
    assert [example.where for example in splits.test][:1] == [f"{tmp_path / 'test.tsv'}:3"]
    assert len(LabelledReader().read_examples(tmp_path / "test.tsv", DataConfig())) == 10


def test_a_pair_needs_both_texts(tmp_path):
    path = write(tmp_path / "data.tsv", [("a", "b", "x"), ("a", "", "x"), ("", "b", "y")], "text_a\ttext_b\tlabel")
    with findings.collecting() as found:
        assert len(LabelledReader().read_file(path, DataConfig())) == 1
    assert found.unused["empty (left out)"].count == 2


@pytest.mark.parametrize(
    ("rows", "config", "message"),
    [
        ([(f"t{i}", f"l{i}") for i in range(16)], {},
         "each of the 16 labels occurs once.*check the columns of the texts and of the labels"),
        ([("same", "ab"[i % 2]) for i in range(16)], {}, "all 16 labelled examples have the same text"),
        ([(f"t{i}", "") for i in range(16)], {}, r"none of the 16 rows has a label.*--label-column NAME"),
        ([(f"t{i}", f"l{i // 2}") for i in range(16)], {},
         r"has 2 different texts, and data\.test_share=0\.25 of 2 rounds to 0.*such as --set data\.test_share=0\.3"),
        ([("t", "a"), ("u", "a")], {"test_share": 0.9}, r"data\.test_share=0\.9 leaves no training examples"),
    ],
)
def test_why_no_test_set_can_be_held_out(tmp_path, rows, config, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "data.tsv", rows), **config)


def test_the_advice_of_a_larger_share_works(tmp_path):
    path = write(tmp_path / "data.tsv", [(f"t{i}", f"l{i // 2}") for i in range(16)])
    assert len(read(path, test_share=0.3).test) == 8


def test_the_report_is_information_and_unused_rows_are_warnings(caplog):
    caplog.set_level(logging.INFO, "vecformer")
    found = findings.Findings("2 rows: 2 train")
    found.note("a fact")
    found.leave_out("empty (left out)", "a.tsv:3")
    found.log()
    assert [(level, message) for _, level, message in caplog.record_tuples] == [
        (logging.INFO, "2 rows: 2 train"), (logging.INFO, "a fact"),
        (logging.WARNING, "1 row is empty (left out); the first is a.tsv:3")]


def test_findings_belong_to_the_block_that_collects_them():
    findings.current().note("forgotten")
    with findings.collecting() as outer:
        findings.current().note("outer")
        with findings.collecting() as inner:
            findings.current().note("inner")
    assert (outer.notes, inner.notes) == (["outer"], ["inner"])
