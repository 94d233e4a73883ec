"""The hashed features of exported folders are those of scikit-learn, which trains the branches."""

import ast
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils import murmurhash3_32

from embeddings.tokenization.ngrams import NgramHasher
from pipeline.exports.standalone import __path__ as home
from pipeline.exports.standalone.vecformer_hashing import bucket, murmurhash3, ngram_counts, pattern, word_features
from pipeline.tasks.tags import features as ours
from pipeline.tasks.tags.features import hashed_features

TEXTS = st.text(max_size=60) | st.text(alphabet="aB c-7.\n\té’\u3000\ud800", max_size=60)


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_murmurhash(data, seed):
    assert murmurhash3(data, seed) == murmurhash3_32(data, seed=seed, positive=True)


@settings(max_examples=200)
@given(text=TEXTS, words=st.integers(1, 3), shortest=st.integers(1, 4), more=st.integers(0, 3),
       exponent=st.integers(1, 20))
def test_ngrams(text, words, shortest, more, exponent):
    characters, buckets = (shortest, shortest + more), 2**exponent
    found = NgramHasher(words, characters, buckets).counts([text])
    expected = dict(zip(found.indices.tolist(), found.data.tolist(), strict=True))
    assert ngram_counts(text, words=words, characters=characters, buckets=buckets) == expected


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=8))
def test_features_of_words(words):
    assert [pattern(word) for word in words] == [ours.pattern(word) for word in words]
    rows = hashed_features([words], 2**12)
    for row, names in zip(rows, word_features(words), strict=True):
        counts = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        found = [bucket(name, 2**12) for name in names]
        assert counts == {number: found.count(number) for number in found}


def test_the_files_import_nothing_of_this_project_and_little_else():
    allowed = {"numpy", "tokenizers", "onnxruntime", *sys.stdlib_module_names}
    files = [file for file in Path(home[0]).glob("vecformer_*.py") if "modeling" not in file.name]
    assert len(files) >= 3
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module] if isinstance(node, ast.ImportFrom) else [])
            for name in names:
                assert name.split(".")[0] in allowed or name.startswith("pipeline.exports.standalone."), (file, name)
