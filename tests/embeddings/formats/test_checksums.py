import hashlib

import pytest

from embeddings.formats import checksums
from embeddings.formats.checksums import first_difference, has_sha256, sha256_of


@pytest.fixture
def reads(tmp_path, monkeypatch):
    """The files that are hashed, by name; every file counts as large and as settled."""
    monkeypatch.setenv("VECFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checksums, "LARGE_BYTES", 0)
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 0)
    names, real = [], checksums.sha256

    def sha256(path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(checksums, "sha256", sha256)
    return names


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


DIGEST = hashlib.sha256(b"content").hexdigest()


def test_a_large_file_is_hashed_once(path, reads):
    assert has_sha256(path, DIGEST)
    assert has_sha256(path, DIGEST)
    assert reads == ["file"]
    assert not has_sha256(path, "0" * 64)
    assert reads == ["file", "file"]


def test_a_changed_file_is_hashed_again(path, reads):
    assert has_sha256(path, DIGEST)
    path.write_bytes(b"CONTENT")
    assert not has_sha256(path, DIGEST)
    path.write_bytes(b"content")
    assert has_sha256(path, DIGEST)
    assert reads == ["file"] * 3


def test_another_file_of_the_same_time_is_hashed(path, reads, tmp_path):
    import os

    assert has_sha256(path, DIGEST)
    state = path.stat()
    other = tmp_path / "other"
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)
    assert not has_sha256(path, DIGEST)


def test_a_file_changed_just_now_is_not_remembered(path, reads, monkeypatch):
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 1000)
    assert has_sha256(path, DIGEST)
    assert has_sha256(path, DIGEST)
    assert reads == ["file", "file"]


def test_small_files_and_a_disabled_cache_leave_no_trace(path, reads, monkeypatch, tmp_path):
    monkeypatch.setattr(checksums, "LARGE_BYTES", 100)
    assert has_sha256(path, DIGEST)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(checksums, "LARGE_BYTES", 0)
    monkeypatch.setenv("VECFORMER_CACHE", "off")
    assert has_sha256(path, DIGEST)
    assert has_sha256(path, DIGEST)
    assert reads == ["file"] * 3


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"x" * 5000])
def test_a_damaged_or_unwritable_memory_is_ignored(path, reads, tmp_path, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "verified.txt").write_bytes(content)
    assert has_sha256(path, DIGEST)
    (tmp_path / "cache" / "verified.txt").unlink()
    (tmp_path / "cache" / "verified.txt").mkdir()
    assert has_sha256(path, DIGEST)
    assert not has_sha256(path, DIGEST[::-1])


def test_the_memory_is_bounded(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(checksums, "MAX_LINES", 10)
    for number in range(25):
        (tmp_path / str(number)).write_bytes(b"content")
        assert has_sha256(tmp_path / str(number), DIGEST)
    assert len((tmp_path / "cache" / "verified.txt").read_text().splitlines()) <= 10
    assert sorted(file.name for file in (tmp_path / "cache").iterdir()) == ["verified.txt"]
    assert has_sha256(tmp_path / "24", DIGEST)
    assert len(reads) == 25


def test_the_first_difference(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    expected = sha256_of([tmp_path / "a", tmp_path / "b"])
    assert first_difference(tmp_path, expected) is None
    (tmp_path / "b").write_text("c")
    assert first_difference(tmp_path, expected) == tmp_path / "b"
    (tmp_path / "a").unlink()
    assert first_difference(tmp_path, expected) == tmp_path / "a"
