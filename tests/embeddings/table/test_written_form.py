"""Paths of any bytes: their written form, and libraries that open them."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from embeddings.table.paths import from_written, is_utf8, printable, utf8_path, written

BYTES = os.fsdecode(b"caf\xe9")
FOLDERS, NAMES = ("plain", BYTES), ("x.safetensors", f"{BYTES}.safetensors")
needs_byte_names = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_a_written_path_is_utf8_and_is_read_back(name):
    path = Path("/", os.fsdecode(name))
    assert written(path).encode()
    assert Path(from_written(written(path))) == path


@pytest.mark.parametrize("path", ["a.csv", "/data/café,1.csv", "~/x", "", "archive.zip!a%41.txt", "file:a"])
def test_a_path_of_utf8_is_written_as_it_is(path):
    assert written(path) == path == from_written(path)


def test_another_path_is_an_absolute_uri(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert written(f"{BYTES},a+b.csv") == f"file://{tmp_path}/caf%E9%2Ca%2Bb.csv"
    assert written("file:///x") == f"file://{tmp_path}/file%3A/x"


@pytest.mark.parametrize(("uri", "path"), [
    ("file:///a%20b/caf%E9", f"/a b/{BYTES}"), ("file://localhost/a", "/a"), ("file:///caf\u00e9", "/caf\u00e9"),
    ("file:///100%", "/100%"),
])
def test_uris_are_read(uri, path):
    assert from_written(uri) == path


@pytest.mark.parametrize(("uri", "message"), [
    ("file://server/a", "begins with file:///"), ("file://a.csv", "begins with file:///"), ("file:///a%00", "null"),
])
def test_uris_of_no_file_here_are_refused(uri, message):
    with pytest.raises(ValueError, match=message):
        from_written(uri)


def test_surrogates_are_shown():
    assert printable(f"{BYTES} \ud800 ü") == "caf\\xe9 \\ud800 ü"
    assert not is_utf8("\ud800")
    with pytest.raises(UnicodeEncodeError):
        written("\ud800")


@needs_byte_names
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_library_opens_and_maps_any_path(folder, name, tmp_path):
    path = tmp_path / folder / name
    path.parent.mkdir()
    save_file({"a": np.arange(3)}, path)
    if not is_utf8(str(path)):
        with pytest.raises(SafetensorError, match="UTF-8"):  # otherwise utf8_path is no longer needed
            safe_open(path, framework="pt")
    n_open = len([*Path("/proc/self/fd").iterdir()])
    with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
        assert file.get_tensor("a").tolist() == [0, 1, 2]
    with utf8_path(path.parent) as readable:
        assert [file.name for file in readable.iterdir()] == [name]
    assert len([*Path("/proc/self/fd").iterdir()]) == n_open


@needs_byte_names
def test_a_missing_file_has_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, utf8_path(tmp_path / BYTES):
        pass
    assert caught.value.filename == str(tmp_path / BYTES)
