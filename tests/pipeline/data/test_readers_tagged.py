"""Tagged words in columns: every scheme, both separators, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers.tagged import TaggedReader
from pipeline.errors import DataError

WORD = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8).filter(
    lambda word: not word.startswith("-DOCSTART-")
)
TAG = st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"])
SENTENCES = st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=6), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tagged")


def write(folder, content, name="a.conll"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder, content):
    return TaggedReader().read_file(write(folder, content), DataConfig())


@given(sentences=SENTENCES, middle=st.sampled_from([[], ["_"], ["NN", "B-NP"]]), tabs=st.booleans(),
       newline=st.sampled_from(["\n", "\r\n"]))
def test_written_files_are_read(folder, sentences, middle, tabs, newline):
    separator = "\t" if tabs else " "
    blocks = [[separator.join([word, *middle, tag]) for word, tag in sentence] for sentence in sentences]
    examples = read(folder, (newline * 2).join(newline.join(block) for block in blocks))
    assert [list(zip(example.words, example.tags, strict=True)) for example in examples] == sentences


def test_locations_documents_and_comments(tmp_path):
    examples = read(tmp_path, "-DOCSTART- -X- O\n\n# sent_id = 1\n# text en = x\nUse O\n# O\n\n\n# O\n# = O\n = O\n")
    assert [example.words for example in examples] == [("Use", "#"), ("#", "#", "=")]
    assert [example.where.rsplit(":", 1)[1] for example in examples] == ["5", "9"]
    assert examples[0].gold == ["O", "O"]
    assert examples[0].key == examples[0].words


def test_in_a_file_with_tabs_a_word_may_have_blanks(tmp_path):
    assert read(tmp_path, "New York\tB-place\n1 000\tO\n")[0].words == ("New York", "1 000")


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u3000", "\u202f", "\x0b", "\x85", "\u2028", "\x1f"])
def test_no_other_white_space_cuts_a_word(tmp_path, separator, space):
    words = [f"1{space}000", f"{space}x", f"x{space}", space]
    content = "\n".join(f"{word}{separator}B-n" for word in words)
    assert read(tmp_path, content)[0].words == tuple(words)


@pytest.mark.parametrize(
    ("scheme", "sentences"),
    [
        ("IOB2", ["B-x I-x O B-x B-x", "O"]),
        ("IOB2", ["O O"]),
        ("IOB1", ["I-x I-x O", "I-x B-x"]),
        ("IOB1", ["B-x I-y"]),
        ("IOBES", ["S-x O B-x E-x"]),
        ("BILOU", ["U-x", "B-x I-x L-x"]),
    ],
)
def test_the_tags_of_every_scheme_are_kept(tmp_path, scheme, sentences):
    content = "\n".join("".join(f"w\t{tag}\n" for tag in tags.split()) for tags in sentences)
    tags = [example.tags for example in read(tmp_path, content)]
    assert [" ".join(one) for one in tags] == sentences, scheme


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\n", r"a\.conll:2: expected a word and its tag, separated by a tab; found 'b'"),
        ("a O\n\nb\n", r"a\.conll:3: expected a word and its tag, separated by spaces; found 'b'"),
        ("a\tO\n\tO\n", r"a\.conll:2: expected a word and its tag"),
        ("a\tB-x\nb\tNN\n", r"a\.conll:2: the tag 'NN' belongs to no known scheme"),
        ("a\tB-x\nb\t\n", r"a\.conll:2: the tag '' belongs to no known scheme"),
        ("a\tO\nb\t\n", r"a\.conll:2: the word 'b' has no tag"),
        ("a\tM-x\nb\tI-x\n", r"a\.conll:2: the tag 'I-x' and earlier tags belong to different schemes"),
        ("a O\nb B-x\n\nc\tO\nd O\n", r"a\.conll:4: a tab, in a file whose columns are separated by spaces in most"),
        ("a\tO\nb\tB-x\n\nc O\nd\tO\n", r"a\.conll:4: expected a word and its tag, separated by a tab; found 'c O'"),
        ("a NN x\nb VB x\nc NN\n", r"a\.conll:3: 2 columns, but most lines have 3"),
        ("a text\tpos\nb text\tneg\n", r"a\.conll: most words contain spaces.*--task classification"),
        ("\n".join(f"w{i} t{i}" for i in range(300)), r"a\.conll: column 2 has 300 different values for 300 words"),
        ("a\tS-x\nb\tL-x\n", r"a\.conll:2: the tag 'L-x' and earlier tags belong to different schemes"),
        ("", r"a\.conll: the file has no tagged words"),
        ("\n-DOCSTART-\n\n", r"a\.conll: the file has no tagged words"),
        (b"a\tO\n\0\xe9\tO\n", r"a\.conll:2: not text"),
    ],
)
def test_malformed_files_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_folder_with_a_limit(tmp_path):
    text = "\n".join(f"w{i}\tO\nx\tO\n" for i in range(40))
    write(tmp_path, text, "train.bio")
    write(tmp_path, "y\tO\n", "test.iob2")
    write(tmp_path, "plain text\n", "unlabelled.txt")
    config = DataConfig(path=str(tmp_path), limit_train=30)
    splits = TaggedReader().read(config, seed=1)
    assert [len(part) for part in (splits.train, splits.dev, splits.test)] == [30, 0, 1]
    assert splits.unlabelled[0] == "plain text"
    assert {*splits.unlabelled[1:], *(example.words for example in splits.train)} == {(f"w{i}", "x") for i in range(40)}
    assert TaggedReader().read(config, seed=1) == splits != TaggedReader().read(config, seed=2)
