"""Folders of model2vec and tables of packages: token vectors with a mapping and weights, tokenizers in subfolders."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from embeddings import EmbeddingTable, load_vectors
from embeddings.errors import EmbeddingError
from embeddings.formats.checkpoint_layouts import tokenizer_file
from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings
from embeddings.request import UNKNOWN, VectorRequest
from embeddings.special_tokens import N_SPECIAL
from embeddings.specification import sources
from embeddings.specification.fingerprint import content_hashes
from pipeline.runs.tokenizer import read_subwords

TOKENS = ("[PAD]", "[UNK]", "cat", "dog", "##s", "the", "!")
WORDS = {"cat": (2,), "cats": (2, 4), "Dogs": (3, 4), "the": (5,), "dog!": (3, 6), "catdog": ()}
RNG = np.random.default_rng(1)
ROWS = RNG.normal(size=(4, 3)).astype(np.float32)
FACTORS = RNG.uniform(0.1, 2, len(TOKENS))
TO_ROW = np.array([3, 0, 1, 1, 2, 0, 3])


def write_tokenizer(path):
    tokenizer = Tokenizer(models.WordPiece({token: number for number, token in enumerate(TOKENS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def write_folder(folder, tensors):
    """Write a folder as ``StaticModel.save_pretrained`` does."""
    write_tokenizer(folder / "tokenizer.json")
    (folder / "config.json").write_text('{"normalize": true}')
    save_file(tensors, folder / "model.safetensors")
    return folder


def whole(dtype):
    """A table with a row for each token."""
    rows = np.concatenate([ROWS, -2 * ROWS[:3]])
    return np.rint(rows * 50).astype(np.int8) if dtype == "int8" else rows.astype(dtype)


def expected(ids, tensors):
    """The definition: mean of ``weights[t] * embeddings[mapping[t]]`` in float64, without normalisation."""
    rows = np.asarray(tensors["embeddings"], np.float64)
    mapping, weights = tensors.get("mapping", np.arange(len(TOKENS))), tensors.get("weights", np.ones(len(TOKENS)))
    return np.mean([weights[token] * rows[mapping[token]] for token in ids], axis=0)


@pytest.fixture(params=["float32", "float16", "float64", "int8"])
def dtype(request):
    return request.param


@pytest.fixture(params=["plain", "weights", "mapping", "mapping and weights"])
def tensors(request, dtype):
    table = whole(dtype)[: 4 if "mapping" in request.param else None]
    return ({"embeddings": table} | ({"mapping": TO_ROW} if "mapping" in request.param else {})
            | ({"weights": FACTORS} if "weights" in request.param else {}))


def test_vectors_of_words_follow_the_definition(tmp_path, tensors):
    table = load_vectors(f"hf:{write_folder(tmp_path / 'model', tensors)}", list(WORDS))
    table.save(tmp_path / "embeddings.safetensors")
    later = load_vectors(f"hf:{tmp_path / 'model'}", ["the"]), EmbeddingTable.load(tmp_path / "embeddings.safetensors")
    assert "catdog" not in table.words
    for word, ids in WORDS.items():
        if ids:
            want = pytest.approx(expected(ids, tensors), rel=1e-6, abs=1e-6)
            assert table.vectors[table.words.index(word)] == want
            assert all(one.composer.compose([word]).vectors[0] == want for one in later)


def test_subwords_have_the_vectors_of_their_tokens(tmp_path, tensors):
    folder = write_folder(tmp_path / "model", tensors)
    tokenizer = read_subwords(str(folder))
    names = tokenizer.vocabulary()[N_SPECIAL:]
    table = sources.load(f"hf:{folder}", VectorRequest(vocabulary=dict.fromkeys(names, 0), tokenizer=tokenizer))
    assert table.words == names
    assert set(table.provenance) == {"exact"}
    want = [expected([TOKENS.index(name)], tensors) for name in names]
    np.testing.assert_allclose(table.vectors, want, rtol=1e-6, atol=1e-6)


def test_model2vec_has_the_same_vectors(tmp_path, tensors):
    library = pytest.importorskip("model2vec")
    folder = write_folder(tmp_path / "model", tensors)
    words = [word for word, ids in WORDS.items() if ids]
    table = load_vectors(f"hf:{folder}", words)
    theirs = library.StaticModel.from_pretrained(folder, normalize=False).encode(words)
    rounding = 2e-3 if tensors["embeddings"].dtype == np.float16 else 1e-6  # it averages float16 in float16
    np.testing.assert_allclose(table.lookup(words).vectors, theirs, rtol=rounding, atol=rounding)


@pytest.mark.parametrize(("changed", "message"), [
    ({"mapping": TO_ROW + 1}, "'mapping' does not contain numbers of the 4 rows of 'embeddings'"),
    ({"mapping": TO_ROW - 1}, "'mapping' does not contain"),
    ({"mapping": TO_ROW.astype(np.float32)}, "'mapping' does not contain"),
    ({"mapping": TO_ROW[:0]}, "'mapping' does not contain"),
    ({"mapping": TO_ROW[:5]}, "have 5 rows: they belong to different checkpoints"),
    ({"weights": FACTORS[:5]}, "'weights' has 5 entries, which are not a factor of each of the 7 tokens"),
    ({"weights": TO_ROW}, "'weights' has 7 entries, which are not a factor"),
    ({"weights": FACTORS * np.inf}, "is not finite"),
    ({"embeddings": ROWS.astype(np.int32)}, "contains integers"),
])
def test_damaged_mapping_or_weights_are_one_message(tmp_path, changed, message):
    tensors = {"embeddings": ROWS, "mapping": TO_ROW} | changed
    folder = write_folder(tmp_path / "model", tensors)
    with pytest.raises(EmbeddingError) as caught:
        load_vectors(f"hf:{folder}", ["cat"])
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)


def test_tensors_of_another_model_are_no_mapping(tmp_path):
    """Only static tables have a mapping and weights."""
    folder = write_folder(tmp_path / "model", {"wte.weight": whole("float32"), "mapping": TO_ROW, "weights": FACTORS})
    assert (load_vectors(f"hf:{folder}", ["cat"]).vectors[0] == whole("float32")[2]).all()


def as_wordllama(folder, *dims, name="tiny"):
    write_tokenizer(folder / "tokenizers" / f"{name}_tokenizer_config.json")
    (folder / "weights").mkdir(exist_ok=True)
    rows = RNG.normal(size=(len(TOKENS), max(dims))).astype(np.float16)
    for dim in dims:
        save_file({"embedding.weight": rows[:, :dim].copy()}, folder / "weights" / f"{name}_{dim}.safetensors")
    return rows


def test_layout_of_wordllama(tmp_path, caplog):
    rows = as_wordllama(tmp_path, 2, 16, 8)
    (tmp_path / "weights" / "tiny_64_binary.safetensors").write_bytes(b"not a table of vectors")
    with caplog.at_level(logging.INFO, logger="vecformer"):
        table = load_vectors(f"hf:{tmp_path}", ["cats"])
    assert table.vectors[0] == pytest.approx(rows[[2, 4]].astype(np.float32).mean(axis=0))
    assert "tiny_16.safetensors is read, the largest of 3 tables" in caplog.text
    assert read_subwords(str(tmp_path)).vocabulary()[N_SPECIAL:] == TOKENS[2:]
    assert [Path(path).name for path in content_hashes(f"hf:{tmp_path}")] == ["tiny_tokenizer_config.json",
                                                                            "tiny_16.safetensors"]


def test_several_tokenizers_are_one_message(tmp_path):
    as_wordllama(tmp_path, 4)
    as_wordllama(tmp_path, 4, name="other")
    with pytest.raises(EmbeddingError, match="contains 2 checkpoints, with the tokenizers other_tokenizer_config"):
        load_vectors(f"hf:{tmp_path}", ["cat"])


def test_layout_of_sentence_transformers(tmp_path):
    write_folder(tmp_path / "0_StaticEmbedding", {"embedding.weight": whole("float32")})
    assert (load_vectors(f"hf:{tmp_path}", ["cat"]).vectors[0] == whole("float32")[2]).all()


def test_package_is_found_by_its_name_on_pypi_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "tiny_tables"
    write_folder(package / "model", {"embeddings": whole("float32")})
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    described = tmp_path / "tiny_vectors-1.0.dist-info"
    described.mkdir()
    (described / "RECORD").write_text("tiny_tables/__init__.py,,\ntiny_tables/model/model.safetensors,,\n")
    monkeypatch.syspath_prepend(tmp_path)
    for fields, licence in (("License: MIT License\n        \n        Copyright\n", "MIT License"),
                            ("License-Expression: Apache-2.0\n", "Apache-2.0"), ("", None)):
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-vectors\nVersion: 1.0\n{fields}")
        (origin,) = sources.parse("hf:tiny-vectors").origins()
        assert origin.licence == (f"{licence} (of the package tiny-vectors)" if licence else UNKNOWN)
        assert origin.identifier == ""
    assert find_checkpoint("tiny-vectors") == find_checkpoint("tiny_tables") == package / "model"


@pytest.mark.skipif(find_spec("wordllama") is None, reason="the package wordllama is not installed")
def test_wordllama_has_the_same_vectors():
    """Computed from its files with numpy, since its import needs further packages."""
    folder = find_checkpoint("wordllama")
    rows = load_file(folder / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].astype(np.float32)
    tokenizer = Tokenizer.from_file(str(tokenizer_file(folder)))
    words = ["cat", "naïve", "antidisestablishmentarianism", "3.14"]
    want = [rows[tokenizer.encode(word, add_special_tokens=False).ids].mean(axis=0) for word in words]
    np.testing.assert_allclose(load_vectors("hf:wordllama", words).lookup(words).vectors, want, atol=1e-6)


def test_tokenlearn_static_model_has_the_same_directions():
    """The package normalises its vectors."""
    library = pytest.importorskip("static_model")
    words = ["cat", "naïve", "antidisestablishmentarianism", "3.14"]
    vectors = load_vectors("hf:tokenlearn-static-model", words).lookup(words).vectors
    assert input_embeddings(find_checkpoint("tokenlearn-static-model")).shape == (276_326, 64)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, library.get_embeddings(words), atol=1e-6)
