import logging
import os
import shutil
import sys

import numpy as np
import pytest

from embeddings import load_vectors
from embeddings.analysis.conventions import conventions_of
from embeddings.formats import cache
from embeddings.request import VectorRequest
from embeddings.specification import sources

WORDS = [first + second for first in "abcdefgh" for second in "abcdefghijklmnopqrstuvwxyz"]  # without digits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VECFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "MIN_FILE_BYTES", 100)
    return tmp_path / "cache"


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "v.txt", 0.0)


def write(path, start):
    path.write_text("".join(f"{word} {start + number} 1\n" for number, word in enumerate(WORDS)))
    return path


def load(path, words=("ad", "af"), **options):
    table = sources.load(f"file:{path}", VectorRequest(vocabulary=dict.fromkeys(words, 1), **options))
    cache.flush()
    return table


def entries(folder):
    return sorted(folder.iterdir())


def refuse_to_read(monkeypatch):
    def read(*_):
        raise AssertionError("read again")

    monkeypatch.setattr("embeddings.formats.to_table.read_vectors", read)


def test_same_rows_are_read_once(folder, path, monkeypatch):
    first = load(path)
    refuse_to_read(monkeypatch)
    again = load(path)
    assert again.words == first.words == ("ad", "af")
    assert again.vectors.tobytes() == first.vectors.tobytes()
    assert (again.source, again.provenance) == (first.source, first.provenance)
    assert len(entries(folder)) == 1


def test_each_request_has_its_own_entry(folder, path):
    load(path)
    assert load(path, words=("ah",)).words == ("ah",)
    assert load(path, n_frequent=2).words == ("aa", "ab", "ad", "af")
    assert load(f"{path},limit=4").words == ("ad",)
    assert load(path, extra_words={"aj"}).words == ("ad", "af", "aj")
    assert len(load_vectors(path)) == 208
    cache.flush()
    assert len(entries(folder)) == 6


def test_changed_content_replaces_the_entry(folder, path):
    load(path)
    write(path, 0.5)
    assert load(path).vectors[:, 0].tolist() == [3.5, 5.5]
    assert len(entries(folder)) == 1


def test_unchanged_content_with_new_time_is_recognised_by_hash(folder, path, monkeypatch):
    load(path)
    os.utime(path, ns=(1, 1))
    with monkeypatch.context() as patch:
        refuse_to_read(patch)
        assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert len(entries(folder)) == 1
    content = path.read_text().replace("ad 3.0", "ad 4.0")
    path.write_text(content)  # of the same length
    assert load(path).vectors[:, 0].tolist() == [4, 5]


@pytest.mark.parametrize("spoil", ["cut", "empty", "gone", "foreign"])
@pytest.mark.parametrize("name", ["table.safetensors", "table.json", "origin.json"])
def test_broken_entry_is_replaced(folder, path, spoil, name):
    load(path)
    file = entries(folder)[0] / name
    content = file.read_bytes()
    if spoil == "gone":
        file.unlink()
    else:
        file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "foreign": b"[]"}[spoil])
    if name == "origin.json":  # which is read when the time has changed
        os.utime(path, ns=(1, 1))
    assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert load(path).vectors[:, 0].tolist() == [3, 5]


@pytest.mark.parametrize("name", ["table.safetensors", "table.json"])
@pytest.mark.parametrize("damage", ["zeros", "flip"])
def test_an_entry_with_other_content_is_read_again_with_a_warning(folder, path, name, damage, caplog):
    load(path)
    file = entries(folder)[0] / name
    content = bytearray(file.read_bytes())
    if damage == "zeros":
        content[-16:] = bytes(16)
    else:
        content[-9] ^= 1
    file.write_bytes(content)
    assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert f"{entries(folder)[0]}: this cache entry is damaged" in caplog.text
    caplog.clear()
    assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert not caplog.text


def test_the_entry_of_another_request_is_not_used(folder, path, caplog):
    load(path)
    load(path, words=("ab", "ac"))
    first, second = entries(folder)
    shutil.rmtree(first)
    shutil.copytree(second, first)
    assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert load(path, words=("ab", "ac")).vectors[:, 0].tolist() == [1, 2]
    assert "the entry of another file or request" in caplog.text


@pytest.mark.parametrize("off", ["off", "", "OFF"])
def test_cache_can_be_disabled(folder, path, monkeypatch, off):
    monkeypatch.setenv("VECFORMER_CACHE", off)
    assert len(load(path)) == 2
    assert cache.cache_folder() is None
    assert not folder.exists()


def test_small_files_are_not_cached(folder, path, monkeypatch):
    monkeypatch.setattr(cache, "MIN_FILE_BYTES", 2**25)
    load(path)
    assert not folder.exists()


def test_unwritable_cache_is_ignored(folder, path):
    folder.write_text("a file where the folder should be")
    assert load(path).vectors[:, 0].tolist() == [3, 5]


def test_least_recently_used_entries_are_deleted_first(folder, path, monkeypatch):
    load(path)
    size = sum(file.stat().st_size for file in entries(folder)[0].iterdir())
    monkeypatch.setattr(cache, "MAX_BYTES", int(2.5 * size))
    first = entries(folder)[0]
    load(path, words=("ab", "ac"))
    second = next(entry for entry in entries(folder) if entry != first)
    os.utime(second, ns=(1, 1))
    load(path)  # used again
    load(path, words=("ai", "aj"))
    assert len(entries(folder)) == 2
    assert first.exists()
    assert not second.exists()


def test_file_modified_during_reading_is_not_cached(folder, path, monkeypatch):
    real = cache.content_hash

    def change_first(path):
        write(path, 7.0)
        return real(path)

    monkeypatch.setattr(cache, "content_hash", change_first)
    assert load(path).vectors[:, 0].tolist() == [3, 5]
    assert not folder.exists()


def test_pending_entry_is_served_from_memory(folder, path, monkeypatch):
    request = VectorRequest(vocabulary={"ad": 1})
    first = sources.load(f"file:{path}", request)
    refuse_to_read(monkeypatch)
    assert sources.load(f"file:{path}", request).vectors.tobytes() == first.vectors.tobytes()
    cache.flush()
    shutil.rmtree(folder)


def test_default_cache_folder_of_the_platform(monkeypatch):
    monkeypatch.delenv("VECFORMER_CACHE", raising=False)
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache.cache_folder().name == "vecformer"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["the", "cat", "2004", "new"], "lower case, digits unchanged, no phrases"),
        (["the", "New_York", "##", "##.#", "U.S._army"], "upper and lower case, digits as #, phrases joined by _"),
        (["the", "0000", "00.00", "1"], "lower case, digits as 0, no phrases"),
        (["the", "##ing", "##s", "Cat"], "upper and lower case, digits none, no phrases"),
        ([], "lower case, digits none, no phrases"),
    ],
)
def test_conventions_of_a_vocabulary(words, expected):
    assert str(conventions_of(words)) == expected


def test_conventions_are_logged(tmp_path, caplog):
    (tmp_path / "v.txt").write_text("Paris 1 2\nnew_york 3 4\n")
    with caplog.at_level(logging.INFO, "vecformer"):
        table = load_vectors(f"file:{tmp_path / 'v.txt'}")
    assert table.vectors.dtype == np.float32
    assert "2 words read, upper and lower case, digits none, phrases joined by _" in caplog.text
