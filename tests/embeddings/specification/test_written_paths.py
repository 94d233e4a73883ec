"""Paths that are not UTF-8 in specifications: written as URIs, and read back."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from embeddings.errors import SpecificationError
from embeddings.loading import load_vectors
from embeddings.specification.grammar import quoted, written_specification
from embeddings.specification.sources import parse
from embeddings.specification.transforms import parse_transform

E9 = os.fsdecode(b"\xe9")
NAMES = [f"caf{E9}.txt", f"a,limit=5 {E9}+glove (1).txt", f"{E9}", f"50%41{E9}.txt"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paths_of(source):
    """Return the paths of a source and of its parts, in order."""
    inner = [path for part in getattr(source, "parts", ()) for path in paths_of(part)]
    return [*inner, *(getattr(source, item.name) for item in fields(source) if item.name in ("path", "start")
                      and getattr(source, item.name))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("template", [
    "file:{}", "file:{},limit=9", "file:{}+glove", "average(file:{},glove)", "word2vec,start={},dim=5",
    "glove+(file:{})", "file: {} ,limit=9",
])
def test_an_existing_path_becomes_a_uri(name, template, here):
    (here / name).write_text("a 1 2\n")
    specification = template.format(name)
    text = written_specification(specification)
    assert text.encode()
    assert text == written_specification(text)
    assert [Path(path).absolute() for path in paths_of(parse(text))] == [here / name]
    assert paths_of(parse(specification)) == paths_of(parse(text))


def test_quoted_and_escaped_paths_become_uris(here):
    (here / f"a b,limit=1 {E9}").touch()
    uri = f"file://{here}/a%20b%2Climit%3D1%20%E9"
    for path in (f'"a b,limit=1 {E9}"', f"a\\ b\\,limit\\=1\\ {E9}"):
        assert written_specification(f"file:{path},limit=3") == f"file:{uri},limit=3"


def test_the_source_of_a_control_and_of_a_transform(here):
    (here / f"{E9}.txt").touch()
    uri = f"file:file://{here}/%E9.txt"
    assert written_specification(f"random,init=shuffled:(glove+file:{E9}.txt)") == (
        f"random,init=shuffled:(glove+{uri})")
    assert parse_transform(written_specification(f"align:(file:{E9}.txt)")).files() == [here / f"{E9}.txt"]


def test_a_member_of_an_archive(here):
    (here / f"{E9}.zip").touch()
    text = written_specification(f"file:{E9}.zip!a.txt,limit=2")
    assert text == f"file:file://{here}/%E9.zip!a.txt,limit=2"
    assert str(parse(text).path) == f"{here}/{E9}.zip!a.txt"


def test_a_missing_path_stays_as_it_is():
    assert written_specification(f"file:{E9}none,limit=2") == f"file:{E9}none,limit=2"
    assert written_specification("file:caf\u00e9 none") == "file:caf\u00e9 none"


@pytest.mark.parametrize("path", [f"/d/{E9},a.txt", "/d/a.txt", "/d/ a ", "a(1)"])
def test_a_quoted_path_is_read_back(path):
    assert str(parse(f"file:{quoted(path)},limit=3").path) == path
    assert parse(f"file:{quoted(path)},limit=3").limit == 3


def test_a_uri_is_a_source():
    assert parse("file:///d/%E9%2C.txt,limit=3") == parse("file:file:///d/%E9%2C.txt,limit=3")
    assert str(parse('file:"file:///d/%E9.txt"').path) == f"/d/{E9}.txt"
    assert len(parse("file:///a.txt+file:///b.txt").parts) == 2
    with pytest.raises(SpecificationError, match="begins with file:///"):
        parse("file:file://server/x")


def test_a_table_has_a_source_that_loads_it_again(here):
    (here / f"caf{E9}.txt").write_text("a 1 2\nb 3 4\n")
    table = load_vectors(Path(f"caf{E9}.txt"))
    assert table.source == f"file:file://{here}/caf%E9.txt"
    table.save(here / f"t{E9}.safetensors")
    assert load_vectors(here / f"t{E9}.safetensors").words == load_vectors(table.source).words == ("a", "b")
