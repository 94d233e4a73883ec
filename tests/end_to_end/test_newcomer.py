"""A German Excel export: the files in data/inquiries are what the maker writes, and every form of it gives the same."""

import codecs
import datetime
import json

import german_export
import pytest
import python_calamine
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tables import read_rows

COLUMNS = {"text_column": ("Betreff", "Nachricht"), "label_column": "Kategorie"}


def call(*args):
    done = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return done.stdout


def read(path):
    return [(example.text, example.label) for example in LabelledReader().read_file(path, DataConfig(**COLUMNS))]


@pytest.mark.parametrize(("name", "rows"), [("inquiries", german_export.labelled), ("new", german_export.new)])
def test_the_sample_is_what_the_maker_writes(name, rows, support, tmp_path):
    folder = support.parent / "inquiries"
    german_export.write_csv(tmp_path / "a.csv", rows())
    german_export.write_xlsx(tmp_path / "a.xlsx", rows())
    assert (tmp_path / "a.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()
    assert list(read_rows(tmp_path / "a.xlsx")) == list(read_rows(folder / f"{name}.xlsx"))


def test_all_exports_of_the_table_are_read_alike(support, tmp_path):
    rows = list(german_export.labelled())
    expected = [(f"{row[2]}\n{row[3]}", row[5]) for row in rows]
    for encoding in ("cp1252", "utf-8-sig", "utf-16", "mac_roman"):
        german_export.write_csv(tmp_path / "a.csv", rows, encoding)
        assert read(tmp_path / "a.csv") == expected, encoding
    assert read(support.parent / "inquiries" / "inquiries.xlsx") == expected
    assert len(expected) == 63


def test_a_day_with_the_export(support, tmp_path):
    """Train, predict into both formats, and train again on the result."""
    folder, run = support.parent / "inquiries", tmp_path / "run"
    columns = ["--text-column", "Betreff", "--text-column", "Nachricht", "--label-column", "Kategorie"]
    call("run", "--data", folder / "inquiries.xlsx", *columns, "--baselines", "none", "--out", run, "-q")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["source"] == "fasttext"
    assert metrics["test"]["accuracy"] > 0.6
    for name in ("new.xlsx", "new.csv"):
        assert "9 rows, added columns label, probability, warning; 1 with a warning" in call(
            "predict", run, "--file", folder / name, "--out", tmp_path / name)
    with python_calamine.load_workbook(tmp_path / "new.xlsx") as book:
        sheet = book.get_sheet_by_name("Anfragen").to_python()
    assert [sheet[0][0], sheet[2]] == [german_export.TITLE, [*german_export.HEADER, "label", "probability", "warning"]]
    written = (tmp_path / "new.csv").read_bytes().decode("cp1252").split("\r\n")
    for original, row, line in zip(german_export.new(), sheet[3:], written[1:-1], strict=True):
        assert row[:6] == original
        assert isinstance(row[0], datetime.date)
        probability = f"{row[7]:.4f}".replace(".", ",")
        assert line == ";".join([*map(german_export.shown, original), row[6], probability, row[8]])
    assert not (tmp_path / "new.csv").read_bytes().startswith(codecs.BOM_UTF8)
    assert [row[8] for row in sheet[3:] if row[8]] == ["the text is empty"]
    labels = [row[6] for row in sheet[3:]]
    assert labels[:2] == ["Lieferung", "Rechnung"]
    call("run", "--data", tmp_path / "new.xlsx", *columns[:4], "--label-column", "label", "--source", "random",
         "--baselines", "none", "--epochs", "1", "--out", tmp_path / "again", "-q")
