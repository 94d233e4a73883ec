"""Tables in files that are not called so."""

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.corpus import TextCorpus
from pipeline.data.readers.columns import read_unlabelled
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.lines import LineReader
from pipeline.data.readers.table_content import table_suffix
from pipeline.errors import DataError

UNICODE_TEXT = 'text\tlabel\r\n"a\nb, ""c"""\tx\r\nd\ty\r\n'


@pytest.mark.parametrize(("text", "suffix"), [
    (UNICODE_TEXT, ".tsv"), ("Nr\tText\n1\ta\n2\tb\n", ".tsv"), ("text,label\na,x\n", ".csv"),
    ("text;label\na;x\n", ".csv"), ('\n{"text": "a", "label": "x"}\n', ".jsonl"), ('[\n {"text": "a"}]', ".json"),
    ("", ""), ("text", ""), ("A title, a text\nand more, of it\n", ""), ("text\tlabel\n", ""), ("{x} = 1\n", ""),
    ('{"a": 1}\n', ""), ("Title\tof text\nno tab\nhere\n", ""), ("[1] text\n", ""), ("the tag\tis\nnot\ta name", ""),
])
def test_tables_are_found_by_their_content(text, suffix):
    assert table_suffix(text) == suffix


@pytest.mark.parametrize("suffix", [".txt", ".tab", ".dat", ""])
def test_unicode_text_of_excel_is_a_table(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(UNICODE_TEXT.encode("utf-16"))
    examples = LabelledReader().read_file(path, DataConfig())
    assert [(example.text, example.label) for example in examples] == [('a\nb, "c"', "x"), ("d", "y")]


@pytest.mark.parametrize("read", [LineReader().read_file, read_unlabelled,
                                  lambda path, config: list(TextCorpus((path,), config=config))])
def test_a_table_is_not_running_text_and_the_advice_works(tmp_path, read):
    path = tmp_path / "a.txt"
    path.write_text("text,label\na b,x\nc d,y\n")
    with pytest.raises(DataError, match=r"a\.txt: the content is a table, .* change the end of its name to \.csv"):
        read(path, DataConfig())
    found = read(path.rename(tmp_path / "a.csv"), DataConfig())
    assert [getattr(one, "text", one) for one in found] == ["a b", "c d"]


def test_unlabelled_text_is_in_the_configured_encoding(tmp_path):
    path = tmp_path / "unlabelled.txt"
    path.write_bytes("für Käse\n".encode("cp850"))
    assert read_unlabelled(path, DataConfig(encoding="cp850")) == ("für Käse",)
