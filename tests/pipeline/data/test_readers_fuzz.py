"""Whatever bytes are in a file, it gives examples or one message that names it."""

import gzip
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
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
    "c.conll": (TaggedReader().read_file, b"# id = 1\n1-2\tx\t_\t_\n"
                b"1\tBen\tB-x\tO\r\n2\tran\tO\tO\n\n1\tfar\tO\tO\n"),
    "d.conll": (TaggedReader().read_file, b"token pos\nBen NN\nran VB\n\nfar RB\n"),
    "a.conll.gz": (TaggedReader().read_file, gzip.compress(b"Ben\tB-x\nran\tO\n")),
    "tags.jsonl": (TaggedReader().read_file, b'{"tokens": ["Ben", "ran"], "ner_tags": ["B-x", "O"]}'),
    "a.tmx": (ParallelReader().read_file, b'<?xml version="1.0"?><tmx><header srclang="en"/><body><tu>'
              b'<tuv xml:lang="en"><seg>one<ph>x</ph></seg></tuv>'
              b'<tuv xml:lang="de"><seg>eins</seg></tuv></tu></body></tmx>'),
    "mt.jsonl": (ParallelReader().read_file, b'{"translation": {"en": "one", "de": "eins"}}'),
    "list.json": (QuestionReader().read_file, json.dumps([LINE, LINE]).encode()),
    "flat.json": (QuestionReader().read_file, json.dumps({"data": [LINE]}).encode()),
    "texts.jsonl": (LineReader().read_file, b'{"text": "one"}\n{"text": "two"}'),
    "a.json": (QuestionReader().read_file, json.dumps(SQUAD).encode()),
    "a.jsonl": (QuestionReader().read_file, "\r\n".join(LINES).encode()),
    "a.en": (ParallelReader().read_file, b"one\r\ntwo\n"),
    "a.tsv": (ParallelReader().read_file, b"en\tde\r\none\teins\n"),
    "a.txt": (LineReader().read_file, b"one\r\n\ntwo\rthree"),
}
N_DAMAGED = 60
CONFIG = DataConfig(languages=("en", "de"))


def damage(content, random):
    """Change a file at random: bytes replaced, removed, inserted, repeated, blocks of zeros, or the rest cut off."""
    damaged = bytearray(content)
    for _ in range(random.randrange(1, 5)):
        at, n = random.randrange(len(damaged) + 1), random.randrange(1, 9)
        match random.randrange(6):
            case 0:
                damaged[at : at + n] = random.randbytes(n)
            case 1:
                del damaged[at : at + n]
            case 2:
                damaged[at:at] = random.choice(TOKENS)
            case 3:
                damaged[at:at] = damaged[at : at + n] * random.randrange(1, 50)
            case 4:
                damaged[at : at + n] = bytes(n)
            case 5:
                del damaged[at:]
    return bytes(damaged)


TOKENS = (b"\t", b"\n", b" ", b"#", b"1", b"-", b"\x00", b"\xff", b"\xc2\xa0", b'"', b"{", b"[", b"}", b"]", b",", b"<",
          b"<tu>", b"</seg>", b"&", b"&#0;", b"<!DOCTYPE t [<!ENTITY a 'a'>]>", b"\xef\xbb\xbf", b"\xff\xfe", b"1e999",
          b"\\ud800", b"9" * 5000, b"-DOCSTART-", b"O", b"B-", b"# global.columns = ID FORM UPOS\n")


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


@pytest.mark.parametrize("name", GOOD)
def test_random_damage(folder, name):
    random = Random(name)
    for _ in range(N_DAMAGED):
        examples_or_one_message(folder / name, damage(GOOD[name][1] * random.choice([1, 1, 3]), random))


def test_json_nested_deep(folder):
    for name in ("a.json", "a.jsonl"):
        examples_or_one_message(folder / name, b'{"data": ' + b"[" * 100_000)
