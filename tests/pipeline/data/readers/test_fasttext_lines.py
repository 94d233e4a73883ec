"""Lines of fastText's classifier."""

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tables import read_rows
from pipeline.errors import DataError


@pytest.mark.parametrize("name", ["a.txt", "cooking.train", "labels", "a.txt.gz"])
def test_labels_and_texts(tmp_path, name):
    (tmp_path / name).write_text("\ufeff__label__food-safety How long ?\n\nno label here\n__label__a __label__b Two\n")
    table = read_rows(tmp_path / name)
    assert [(row.cells["text"], row.cells["label"], row.line) for row in table] == [
        ("How long ?", "food-safety", 1), ("no label here", None, 3), ("Two", ["a", "b"], 4)]
    with pytest.raises(DataError, match=rf"{name}:4: 'label' has several labels .*--task multi-label"):
        LabelledReader().read_file(tmp_path / name, DataConfig())


def test_a_folder_of_such_files(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.txt").write_text(f"__label__x {part} one\n__label__y {part} two\n")
    splits = LabelledReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [(example.text, example.label) for example in splits.test] == [("test one", "x"), ("test two", "y")]


def test_text_without_labels_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("just text\n")
    with pytest.raises(DataError, match=r"a\.txt: the first line has no label of fastText \(__label__NAME TEXT\)"):
        read_rows(tmp_path / "a.txt")
