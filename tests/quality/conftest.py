"""Make the scripts of quality/ importable by name, and small data in the place of the real data sets."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "quality"))


@pytest.fixture
def datasets(tmp_path):
    """A folder with the data set ``trec6``: 90 training, 9 dev and 9 test examples of three labels."""
    folder = tmp_path / "datasets" / "trec6"
    folder.mkdir(parents=True)
    names = {"a": "ship sea sail", "b": "tree leaf wood", "c": "coin bank cash"}
    for part, n in (("train", 30), ("dev", 3), ("test", 3)):
        rows = [f"{words} {part} number {i}\t{label}\n" for i in range(n) for label, words in names.items()]
        (folder / f"{part}.tsv").write_text("text\tlabel\n" + "".join(rows))
    return tmp_path / "datasets"
