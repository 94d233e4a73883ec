"""The source `spacy` and its format, on small pipelines that the tests write; keys are computed independently."""

import json
import sys

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import load_vectors
from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.detect import detect_format
from embeddings.formats.spacy_strings import SYMBOLS, keys_of, murmur_hashes
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.fingerprint import content_hashes

COFFEE = 3197928453018144401  # of spaCy's documentation, https://spacy.io/api/stringstore
MASK = 2**64 - 1
MULTIPLIER = 0xC6A4A7935BD1E995
WORDS = {"coffee": 0, "Coffee": 0, "tea": 1, "Paris": 2, "paris": 1, "number": 2, "nothing": -1, "日本語": 2}
MATRIX = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
META = {"lang": "xx", "name": "tiny_web_md"}


def murmur(text, seed=1):
    """MurmurHash64A with Python's integers, as in its reference implementation."""
    value = seed ^ (len(text) * MULTIPLIER & MASK)
    whole = len(text) // 8 * 8
    for start in range(0, whole, 8):
        block = int.from_bytes(text[start:start + 8], "little") * MULTIPLIER & MASK
        block = (block ^ block >> 47) * MULTIPLIER & MASK
        value = (value ^ block) * MULTIPLIER & MASK
    if whole < len(text):
        value = (value ^ int.from_bytes(text[whole:], "little")) * MULTIPLIER & MASK
    value = (value ^ value >> 47) * MULTIPLIER & MASK
    return value ^ value >> 47


def write_pipeline(folder, words=WORDS, matrix=MATRIX, mode="default", meta=META):
    """Write the files of a pipeline that contain its vectors, as spaCy does."""
    vocab = folder / "vocab"
    vocab.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(meta))
    keys = {432 if word == "number" else murmur(word.encode()): row for word, row in words.items()}
    (vocab / "key2row").write_bytes(msgpack.packb(keys))
    with (vocab / "vectors").open("wb") as file:
        np.save(file, matrix)
    (vocab / "strings.json").write_text(json.dumps(sorted({*words, "NOUN", "unlisted"})))
    (vocab / "vectors.cfg").write_text(json.dumps({"mode": mode}))
    return folder


def install(site, package, folder, **pipeline):
    """Install a distribution whose package contains a pipeline in the given folder."""
    write_pipeline(site / package / folder, **pipeline)
    (site / package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    info = site / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{path.relative_to(site)},,\n" for path in (site / package).rglob("*")
                                         if path.is_file()))


@pytest.fixture
def pipeline(tmp_path):
    return write_pipeline(tmp_path / "pipeline")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder from which packages are imported, in place of the installed ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


def test_the_hash_of_spacys_documentation():
    assert murmur(b"coffee") == COFFEE
    assert keys_of(["coffee"]).tolist() == [COFFEE]


@given(st.lists(st.binary(max_size=40)))
def test_hashes_equal_the_reference_implementation(texts):
    assert murmur_hashes(texts).tolist() == [murmur(text) for text in texts]


def test_symbols_have_the_numbers_of_spacys_documentation():
    documented = {"ORTH": 65, "LEMMA": 73, "NOUN": 92, "VERB": 100, "PERSON": 380, "nsubj": 429}
    assert {name: SYMBOLS[name] for name in documented} == documented
    assert keys_of(["NOUN", "noun"]).tolist() == [92, murmur(b"noun")]


@pytest.mark.reference("source", "spacy")
@pytest.mark.reference("format", "spaCy vectors")
def test_words_have_the_rows_of_the_map(pipeline):
    table = load_vectors(f"spacy:{pipeline}")
    assert dict(zip(table.words, table.vectors.tolist(), strict=True)) == {
        word: MATRIX[row].tolist() for word, row in WORDS.items() if row >= 0}
    assert table.source == f"spacy:{pipeline}"


def test_requested_words_share_rows_and_follow_the_policy(pipeline):
    table = load_vectors(f"spacy:{pipeline}", ["coffee", "COFFEE", "paris", "number", "nothing", "unlisted"])
    assert dict(zip(table.words, table.provenance, strict=True)) == {
        "coffee": "exact", "COFFEE": "folded", "paris": "exact", "number": "exact"}
    assert table.vectors.tolist() == MATRIX[[0, 0, 1, 2]].tolist()


def test_only_requested_words_are_read_and_the_list_of_words_is_not_needed(pipeline):
    (pipeline / "vocab" / "strings.json").unlink()
    assert load_vectors(f"spacy:{pipeline}", ["tea"]).words == ("tea",)
    with pytest.raises(VectorFileError, match="not the list of words"):
        load_vectors(f"spacy:{pipeline}")


@pytest.mark.parametrize(("n_frequent", "expected"), [
    (0, ["日本語"]), (2, ["coffee", "日本語"]), (5, ["coffee", "tea", "Paris", "paris", "日本語"])])
def test_further_words_in_another_case_with_the_same_row_are_left_out(pipeline, n_frequent, expected):
    request = VectorRequest(vocabulary={"日本語": 1}, n_frequent=n_frequent)
    assert list(sources.load(f"spacy:{pipeline}", request).words) == expected


def test_limit_counts_entries_in_the_order_of_the_map(pipeline):
    assert load_vectors(f"spacy:{pipeline},limit=3").words == ("coffee", "Coffee", "tea")
    assert load_vectors(f"spacy:{pipeline},limit=3", ["tea", "Paris"]).words == ("tea",)


def test_a_folder_is_a_file_source_too(pipeline):
    for folder in (pipeline, pipeline / "vocab", pipeline / "vocab" / "vectors"):
        assert detect_format(folder).name == "spaCy vectors"
        assert load_vectors(f"file:{folder}", ["tea"]).vectors.tolist() == [[4, 5, 6]]


@pytest.mark.parametrize("name", ["holder", "xx_tiny_web_md", "xx-tiny-web-md"])
@pytest.mark.parametrize("folder", ["_model", "xx_tiny_web_md-3.8.0", "data/xx_tiny_web_md-3.8.0", ""])
def test_installed_pipelines_are_found_by_package_or_pipeline_and_never_imported(site, name, folder):
    install(site, "holder", folder)
    assert load_vectors(f"spacy:{name}", ["tea"]).vectors.tolist() == [[4, 5, 6]]
    assert "holder" not in sys.modules


def test_the_licence_is_that_of_the_pipeline(tmp_path):
    for i, (meta, licence) in enumerate([({"license": "MIT"}, "MIT"), ({}, "unknown"), ({"license": None}, "unknown")]):
        write_pipeline(tmp_path / f"p{i}", meta=META | meta)
        (origin,) = sources.parse(f"spacy:{tmp_path / f'p{i}'}").origins()
        assert origin.licence == licence


def test_a_missing_pipeline_lists_the_installed_ones(site):
    with pytest.raises(EmbeddingError, match="No pipeline with vectors is installed"):
        load_vectors("spacy:xx_tiny_web_md", ["tea"])
    install(site, "holder", "_model")
    install(site, "small", "_model", words={}, matrix=np.zeros((0, 0), np.float32),
            meta={"lang": "xx", "name": "tiny_web_sm"})
    with pytest.raises(EmbeddingError, match=r"Did you mean 'xx_tiny_web_md'\? .*vectors: xx_tiny_web_md$"):
        load_vectors("spacy:xx_tiny_wed_md", ["tea"])
    with pytest.raises(EmbeddingError, match=r"names end in _sm have none\. .*vectors: xx_tiny_web_md$"):
        load_vectors("spacy:small", ["tea"])
    with pytest.raises(EmbeddingError, match=r"whose names end in _sm have none\)\..* with vectors: xx_tiny_web_md$"):
        load_vectors("spacy:xx_tiny_web_sm", ["tea"])


def test_a_package_with_several_pipelines_needs_a_folder(site):
    for number in (1, 2):
        write_pipeline(site / "holder" / f"pipeline-{number}")
    with pytest.raises(EmbeddingError, match="contains 2 spaCy pipelines; name the folder of one"):
        load_vectors("spacy:holder", ["tea"])


def test_files_of_the_vectors_decide_the_cache_key(pipeline):
    first = content_hashes(f"spacy:{pipeline}")
    assert {path.rpartition("/")[2] for path in first} == {"vectors", "key2row", "strings.json", "vectors.cfg"}
    (pipeline / "vocab" / "key2row").write_bytes(msgpack.packb({COFFEE: 1}))
    assert content_hashes(f"spacy:{pipeline}") != first


@pytest.mark.parametrize(("name", "content", "message"), [
    ("vectors.cfg", b'{"mode": "floret"}', "vectors of the mode 'floret', which have no list of words, are not supp"),
    ("vectors.cfg", b"[]", "vectors.cfg: not the settings of spaCy vectors"),
    ("key2row", b"\x92\x01\x02", "key2row: not a map from words to rows"),
    ("key2row", msgpack.packb({"a": "b"}), "key2row: not a map from words to rows"),
    ("key2row", msgpack.packb({-5: 0}), "key2row: not a map from words to rows"),
    ("key2row", b"\xdf\xff\xff\xff\xff", "key2row: not a map from words to rows"),
    ("key2row", msgpack.packb({COFFEE: 3}), "refers to row 3, but vectors has 3 rows"),
    ("strings.json", b'{"a": 1}', "strings.json: not the list of words"),
    ("vectors", b"\x93NUMPY\x01\x00", "vectors: not a readable numpy array"),
])
def test_damaged_files_are_one_message(pipeline, name, content, message):
    (pipeline / "vocab" / name).write_bytes(content)
    with pytest.raises(VectorFileError, match=message) as caught:
        load_vectors(f"spacy:{pipeline}")
    assert len(str(caught.value).splitlines()) == 1


def test_vectors_that_are_not_finite_name_the_word(tmp_path):
    folder = write_pipeline(tmp_path / "p", matrix=np.array([[1.0], [np.nan], [2.0]]))
    with pytest.raises(VectorFileError, match="the vector of 'tea' is not finite"):
        load_vectors(f"spacy:{folder}")
