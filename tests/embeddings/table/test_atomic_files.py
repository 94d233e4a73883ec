"""Files are replaced completely or not at all."""

import errno
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from embeddings import EmbeddingTable, load_vectors
from embeddings.compressed_files import is_file_location
from embeddings.formats.writing import write_vectors
from embeddings.table import atomic_files
from embeddings.table.atomic_files import (
    LOCK,
    NEW,
    OLD,
    hidden,
    locked,
    publish_together,
    replacing,
    sync,
    temporary_folder,
    write_atomically,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_a_failure_leaves_the_earlier_file(tmp_path, error):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), replacing(tmp_path / "a") as new:
        new.write_text("half")
        (new.parent / "temporary file of a library").write_text("")
        raise error
    assert contents(tmp_path) == {"a": "old"}


@pytest.mark.parametrize(
    ("code", "name"), [(errno.ENOSPC, "file"), (errno.EROFS, "file"), (errno.EIO, None), (errno.ECONNRESET, None)],
)
def test_an_error_that_only_writing_has_names_the_file(tmp_path, code, name):
    with pytest.raises(OSError, match=os.strerror(code)) as error, replacing(tmp_path / "file"):
        raise OSError(code, os.strerror(code))
    assert error.value.filename == (str(tmp_path / name) if name else None)


def test_an_error_in_writing_names_the_file(tmp_path, monkeypatch):
    def fails(_path, _content):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(OSError, match="broken") as error:
        write_atomically(tmp_path / "file", "text")
    assert error.value.filename == str(tmp_path / "file")


def test_an_error_in_synchronising_names_the_file(tmp_path, monkeypatch):
    def fails(_descriptor):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="broken") as error:
        write_atomically(tmp_path / "file", "text")
    assert Path(error.value.filename).name == "file"


def test_what_a_killed_writer_left_is_removed(tmp_path):
    hidden(tmp_path / "a", NEW).mkdir()
    (hidden(tmp_path / "a", NEW) / "a").write_text("half")
    write_atomically(tmp_path / "a", "naïve")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == "naïve".encode()


def test_a_link_keeps_its_target(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "a").read_text() == "new"


def test_long_names_have_short_companions(tmp_path):
    path = tmp_path / ("ä" * 120)
    write_atomically(path, "x")
    assert len(hidden(path, NEW).name) < 255
    assert path.read_text() == "x"


def new_files(folder):
    folder.mkdir()
    for name in ("v.npy", "v.words.txt", "v.more"):
        (folder / name).write_text("new")
    return list(folder.iterdir())


OLD_FILES = {"v.npy": "old", "v.words.txt": "old", "other": "mine"}
NEW_FILES = {"v.npy": "new", "v.words.txt": "new", "v.more": "new", "other": "mine"}


class Killed(BaseException):
    """The process ends here."""


def step_by_step(tmp_path, monkeypatch, how):
    """Replace files, and end the process or fail at each renaming in turn; yield the folder each time."""
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        for name, content in OLD_FILES.items():
            (folder / name).write_text(content)
        files = new_files(tmp_path / f"new{step}")
        left = [step]

        def counted(original, left=left):
            def call(*args):
                left[0] -= 1
                if left[0] < 0:
                    raise how
                return original(*args)
            return call

        with monkeypatch.context() as patch:
            path = type(folder)
            patch.setattr(path, "rename", counted(path.rename))
            patch.setattr(path, "replace", counted(path.replace))
            if how is Killed:
                patch.setattr(atomic_files, "_restore", lambda path: None)
            try:
                publish_together(files, folder / "v.npy")
            except how:
                pass
            else:
                return
        yield folder


def test_several_files_are_replaced_together(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name, content in OLD_FILES.items():
        (folder / name).write_text(content)
    publish_together(new_files(tmp_path / "new"), folder / "v.npy")
    assert contents(folder) == NEW_FILES


def test_after_a_kill_the_next_writer_finds_the_earlier_files(tmp_path, monkeypatch):
    n_steps = 0
    for folder in step_by_step(tmp_path, monkeypatch, Killed):
        n_steps += 1
        found = {name: content for name, content in contents_of_files(folder).items() if name != "other"}
        if "v.npy" in found:  # never the main file beside a companion of other content
            assert len({content for name, content in found.items() if name != "v.more"}) == 1
        with locked(folder / "v.npy"):
            pass
        now = contents(folder)
        assert now in (OLD_FILES, NEW_FILES)
    assert n_steps >= 5


def test_a_reader_finds_the_earlier_files(tmp_path):
    table = EmbeddingTable.known(["a", "b"], np.eye(2, dtype=np.float32), "made")
    write_vectors(table, tmp_path / "v.safetensors")
    old = hidden(tmp_path / "v.safetensors", OLD)
    old.mkdir()
    (tmp_path / "v.safetensors").rename(old / "v.safetensors")
    assert is_file_location(str(tmp_path / "v.safetensors"))
    assert load_vectors(f"file:{tmp_path / 'v.safetensors'}").words == ("a", "b")
    assert names(tmp_path) == ["v.json", "v.safetensors"]


def contents_of_files(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_temporary_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "vecformer-text-0").mkdir()
    (tmp_path / "vecformer-text-0" / "words.txt").write_text("left")
    (tmp_path / "vecformer-other-0").mkdir()
    fork = multiprocessing.get_context("fork")
    with temporary_folder("text") as folder:
        assert names(tmp_path) == sorted(["vecformer-other-0", folder.name, hidden(folder, LOCK).name])
        other = fork.Process(target=_use_a_temporary_folder)  # leaves that of the running process
        other.start()
        other.join()
        assert other.exitcode == 0
        assert folder.is_dir()
    assert names(tmp_path) == ["vecformer-other-0"]


def _use_a_temporary_folder():
    with temporary_folder("text") as folder:
        (folder / "words.txt").write_text("")


def test_folders_of_killed_replacements_have_their_own_name(tmp_path):
    assert hidden(tmp_path / "v.npy", OLD).name == ".v.npy.vecformer-old"


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_files_are_replaced(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(OSError, match="folder, device or pipe"):
        write_atomically(path, "x")
    path.rename(tmp_path / "v.more")
    with pytest.raises(OSError, match="folder, device or pipe"):
        publish_together(new_files(tmp_path / "new"), tmp_path / "v.npy")
    assert names(tmp_path) == ["new", "v.more"]
    assert Path("/dev/null").is_char_device()


def test_files_that_cannot_be_written_are_synced_or_skipped(tmp_path):
    path = tmp_path / "x"
    path.write_text("mine")
    path.chmod(0o400)
    sync(path)
    assert path.read_text() == "mine"
