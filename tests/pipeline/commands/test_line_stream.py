"""Lines of a stream as they arrive: batches, encodings, refusals."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.line_stream import AT_ONCE, line_batches
from pipeline.data.readers.files import lines_of
from pipeline.errors import DataError


class Arriving(io.RawIOBase):
    """A stream whose parts arrive one by one; ``n_read`` counts those that were read."""

    def __init__(self, parts):
        self.parts, self.n_read = list(parts), 0

    def read1(self, _n):
        self.n_read += 1
        return self.parts.pop(0) if self.parts else b""

    def read(self, _n=-1):
        parts, self.parts = self.parts, []
        return b"".join(parts)


def batches(*parts, encoding=""):
    return list(line_batches(Arriving(parts), "standard input", encoding))


def test_lines_are_returned_before_later_ones_arrive():
    stream = Arriving([b"one\ntw", b"o\n", b"three"])
    found = line_batches(stream, "x")
    assert (next(found), stream.n_read) == (["one"], 1)
    assert (next(found), stream.n_read) == (["two"], 2)
    assert list(found) == [["three"]]


@given(st.lists(st.text(st.sampled_from("aé你\n\r 😀"), max_size=6)), st.lists(st.integers(1, 9), min_size=1),
       st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_any_division_of_a_text_gives_its_lines(parts, sizes, codec):
    text = "\n".join(parts)
    content = text.encode(codec)
    pieces, at = [], 0
    while at < len(content):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(content[at : at + size])
        at += size
    if text.startswith("\ufeff") or ("\r" in text and "\n" not in text):
        return
    found = [line for batch in batches(*pieces) for line in batch]
    assert found == lines_of(text) or (not text and not found)


def test_an_encoding_is_found_when_the_first_character_outside_ascii_arrives():
    german = ["Wo ist mein Paket?", "Die Tür schließt nicht.", "Schöne Grüße"]
    parts = [f"{line}\n".encode("cp1252") for line in german]
    assert [line for batch in batches(*parts) for line in batch] == german
    assert batches("да\n".encode("koi8-r"), encoding="koi8-r") == [["да"]]
    assert batches("ab\ncd\n".encode("utf-16-le"), encoding="utf-16-le") == [["ab", "cd"]]


def test_broken_bytes_in_utf8_are_replaced_with_one_warning(caplog):
    parts = ["Grüße\n".encode(), b"caf\xe9\n", b"th\xe9\n"]
    assert batches(*parts) == [["Grüße"], ["caf\ufffd"], ["th\ufffd"]]
    assert caplog.text.count("not UTF-8") == 1


def test_a_text_with_cr_is_divided_at_its_end():
    assert batches(b"one\r", b"two\r") == [["one", "two"]]


def test_memory_is_bounded():
    def parts():
        line = b"x" * 99 + b"\n"
        for _ in range(200):
            yield line * (AT_ONCE // 100)

    class Endless(Arriving):
        def __init__(self):
            self.parts = parts()

        def read1(self, _n):
            return next(self.parts, b"")

    assert max(map(len, line_batches(Endless(), "x"))) <= AT_ONCE // 100


def test_a_table_is_refused_also_if_its_second_line_comes_later():
    for parts in ([b"text,label\n", b"a,b\n"], [b'{"text": "a"}\n'], [b"text\tlabel\nx\ty\n"]):
        with pytest.raises(DataError, match="x is a table"):
            list(line_batches(Arriving(parts), "x"))
    assert batches(b"text\n", b"label\n") == [["text"], ["label"]]


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("pipeline.commands.line_stream.MAX_LINE", 10)
    with pytest.raises(DataError, match="more than 10 bytes"):
        batches(b"x" * 8, b"x" * 8)
    with pytest.raises(DataError, match="not text"):
        batches(b"\xff\xfe\x00\x01\x80"[2:] * 300)
