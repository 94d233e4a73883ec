"""Whatever bytes are in a file, it gives examples or one message that names it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import DataConfig
from pipeline.data.readers.lines import LineReader
from pipeline.data.readers.parallel import ParallelReader
from pipeline.data.readers.questions import QuestionReader
from pipeline.data.readers.tagged import TaggedReader
from pipeline.errors import DataError

LINE = {"id": 1, "question": "Who?", "context": "Ben.", "answers": [{"text": "Ben", "answer_start": 0}]}
SQUAD = {"data": [{"paragraphs": [{"context": "Ben.", "qas": [LINE]}]}]}
LINES = [json.dumps(LINE), json.dumps(LINE | {"answers": ["Ben"]})]
GOOD = {
    "a.conll": (TaggedReader().read_file, b"Ben\tB-x\r\nran\tO\n\n# id = 1\nfar O\tO\r\n"),
    "b.conll": (TaggedReader().read_file, b"-DOCSTART- O\n\nBen NN S-x\r\nran VB O\n\nfar _ O"),
    "a.json": (QuestionReader().read_file, json.dumps(SQUAD).encode()),
    "a.jsonl": (QuestionReader().read_file, "\r\n".join(LINES).encode()),
    "a.en": (ParallelReader().read_file, b"one\r\ntwo\n"),
    "a.tsv": (ParallelReader().read_file, b"en\tde\r\none\teins\n"),
    "a.txt": (LineReader().read_file, b"one\r\n\ntwo\rthree"),
}
CONFIG = DataConfig(languages=("en", "de"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "a.de").write_bytes(b"eins\nzwei\n")
    return folder


def examples_or_one_message(path, content):
    path.write_bytes(content)
    try:
        assert GOOD[path.name][0](path, CONFIG)
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("name", GOOD)
def test_the_files_are_good_before_they_are_damaged(folder, name):
    read, content = GOOD[name]
    (folder / name).write_bytes(content)
    assert read(folder / name, CONFIG)


@given(name=st.sampled_from(sorted(GOOD)), content=st.binary(max_size=80))
def test_any_bytes(folder, name, content):
    examples_or_one_message(folder / name, content)


@given(name=st.sampled_from(sorted(GOOD)), at=st.integers(0, 160), junk=st.binary(min_size=1, max_size=4))
def test_damaged_files(folder, name, at, junk):
    good = GOOD[name][1]
    examples_or_one_message(folder / name, good[:at] + junk + good[at:])
    examples_or_one_message(folder / name, good[:at] + junk + good[at + len(junk) :])
    examples_or_one_message(folder / name, good[:at])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "paragraphs", "context", "qas", "question", "answers", "text"]), inner),
    max_leaves=12,
)


@given(name=st.sampled_from(["a.json", "a.jsonl"]), value=JSON, key=st.sampled_from(sorted(LINE)))
def test_json_of_another_shape(folder, name, value, key):
    examples_or_one_message(folder / name, json.dumps(value).encode())
    line = LINE | {key: value}
    whole = line if name == "a.jsonl" else {"data": [{"paragraphs": [{"context": "Ben.", "qas": [line]}]}]}
    examples_or_one_message(folder / name, json.dumps(whole).encode())


def test_json_nested_deep(folder):
    for name in ("a.json", "a.jsonl"):
        examples_or_one_message(folder / name, b'{"data": ' + b"[" * 100_000)
