"""A missing or broken gensim stops training only: vectors are loaded, composed and written without it."""

import subprocess
import sys

import numpy as np
import pytest

from embeddings import EmbeddingTable
from embeddings.formats.writing import write_vectors
from embeddings.table.oov_composers import NgramVectors

BROKEN = {
    "missing": "import sys; sys.modules['gensim'] = None",
    "broken": "import sys; sys.path.insert(0, {folder!r})",
}
CODE = """
from embeddings import load_vectors
for name in ("v.txt", "v.bin", "v.safetensors"):
    table = load_vectors(f"{folder}/{{name}}", ["cat"])
    assert table.words == ("cat",)
found = load_vectors("{folder}/v.bin", ["cat", "catz"])
assert found.provenance == ("exact", "subword"), found.provenance
from embeddings.formats.writing import write_vectors
from pathlib import Path
write_vectors(load_vectors("{folder}/v.bin"), Path("{folder}/again.bin"))
load_vectors("glove", ["the"])
for source in ("word2vec", "gensim:glove-wiki-gigaword-50"):
    try:
        load_vectors(source, texts=["a b c"] * 9)
    except ValueError as error:
        assert "gensim, which cannot be imported" in str(error), error
    else:
        raise AssertionError(source)
"""


@pytest.mark.parametrize("how", BROKEN)
def test_loading_composing_and_writing_do_not_need_gensim(how, tmp_path):
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    table = EmbeddingTable.known(["the", "cat", "dog", "a"], rows, "test")
    table = EmbeddingTable(table.words, rows, table.provenance, "test", composer=NgramVectors(rows, min_n=3, max_n=6))
    for name in ("v.txt", "v.bin", "v.safetensors"):
        write_vectors(table, tmp_path / name)
    (tmp_path / "gensim.py").write_text("raise RuntimeError('broken installation')\n")
    code = BROKEN[how].format(folder=str(tmp_path)) + CODE.format(folder=tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
