"""Every file name can be written in a specification: as it is if the file exists, in quotes, or with backslashes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings.errors import SpecificationError
from embeddings.loading import load_vectors
from embeddings.specification import sources
from embeddings.specification.fingerprint import content_hashes
from embeddings.specification.grammar import quoted
from embeddings.specification.transforms import parse_transform

NAMES = ["v,limit=5.txt", "x+word2vec", "a=b.txt", "c:d.txt", "my vectors.txt", "half(open.txt", "all(of it).txt",
         'say"hi".txt', "back\\slash.txt", "a,b+glove,dim=3.txt", "x),limit=2", "\\,.txt", '"quotes"', "comma,"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def escaped(name):
    return "".join(f"\\{character}" if character in ',+=:()"\\ ' else character for character in name)


def in_quotes(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("write", [str, in_quotes, escaped], ids=["as it is", "quotes", "backslashes"])
def test_existing_files(folder, name, write):
    (folder / name).write_text("a 1 2\nb 3 4\nc 5 6\n")
    (folder / "other.txt").write_text("a 1 2\nb 3 4\n")
    assert sources.parse(f"file:{write(name)}").path == Path(name)
    parsed = sources.parse(f"file:{write(name)},limit=2")
    assert (parsed.path, parsed.limit) == (Path(name), 2)
    both = sources.parse(f"file:{write(name)},limit=2+file:other.txt")
    assert [(part.path, part.limit) for part in both.parts] == [(Path(name), 2), (Path("other.txt"), None)]
    nested = sources.parse(f"average(file:other.txt,file:{write(name)})")
    assert nested.parts[1].path == Path(name)
    control = sources.parse(f"random,init=shuffled:(file:{write(name)},limit=2)")
    assert list(control.files()) == [Path(name)]
    assert list(parse_transform(f"align:(file:{write(name)},limit=2)").files()) == [Path(name)]
    assert sources.parse(f"word2vec,start={write(name)},dim=3").start == Path(name)
    assert load_vectors(f"file:{write(name)}").words == ("a", "b", "c")
    assert list(content_hashes(f"file:{write(name)}+file:other.txt")) == sorted([name, "other.txt"])


@pytest.mark.parametrize("name", [*NAMES, " spaces around ", "(all)"])
def test_the_path_itself_can_be_loaded(folder, name):
    (folder / name).write_text("a 1 2\nb 3 4\n")
    assert load_vectors(folder / name).words == ("a", "b")
    assert load_vectors(Path(name)).words == ("a", "b")


def test_the_longest_existing_path_is_taken(folder):
    (folder / "v").write_text("a 1 2\nb 3 4\nc 5 6\n")
    assert sources.parse("file:v,limit=2").limit == 2
    (folder / "v,limit=2").write_text("d 1 2\n")
    assert sources.parse("file:v,limit=2").path == Path("v,limit=2")
    assert sources.parse('file:"v",limit=2').limit == 2


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_in_quotes(name):
    name = name.strip("/") or "x"
    assert sources.parse(f"file:{in_quotes(name)},limit=7").path == Path(name)
    assert sources.parse(f"file:{in_quotes(name)},limit=7").limit == 7
    assert sources.parse(f"(file:{in_quotes(name)}+glove)").parts[0].path == Path(name)
    assert quoted(name) in (name, in_quotes(name))


def test_a_file_that_does_not_exist_keeps_the_usual_meaning():
    assert sources.parse("file:none.txt,limit=5").limit == 5
    with pytest.raises(SpecificationError, match="no option 'size'"):
        sources.parse("file:none.txt,size=5")
