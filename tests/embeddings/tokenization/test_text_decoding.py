"""Encodings that are detected, and bytes that are not text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings.errors import CorpusError
from embeddings.tokenization.text_decoding import decode

TEXTS = {
    "cp1252": "Le colis n’est jamais arrivé à la maison. Où est-il passé ? Größe: 10 €\n",
    "cp1250": "Paczka nigdy nie dotarła. Już długo czekam, proszę o szybką odpowiedź.\n",
    "cp1251": "Посылка так и не пришла. Где моя посылка?\n",
    "shift_jis": "荷物が届きませんでした。私の荷物はどこですか。\n",
    "gb18030": "包裹一直没有到。我的包裹在哪里？请再检查一次送货地址。\n",
}
WIDE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("codec", TEXTS)
@pytest.mark.parametrize("n", [1, 50])
def test_encodings_of_one_language(codec, n):
    text = "text;label\n" + TEXTS[codec].replace("\n", ";x\n") * n
    decoded = decode(text.encode(codec), "a.csv")
    assert decoded.text == text
    assert decoded.encoding == codec.upper().replace("CP", "WINDOWS-").replace("_", "-")
    assert decode(text.encode(codec), "a.csv", codec).text == text


@pytest.mark.parametrize("codec", TEXTS)
@pytest.mark.parametrize("wide", WIDE)
def test_encodings_of_all_languages(codec, wide):
    text = "text;label\r\n" + TEXTS[codec].replace("\n", ";x\r\n") * 5
    assert decode(text.encode(wide), "a.csv").text == text
    assert decode(text.encode(wide), "a.csv", wide).text == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=200))
def test_utf8_is_never_taken_for_something_else(text):
    decoded = decode(text.encode(), "a")
    assert (decoded.text, decoded.encoding, decoded.n_broken) == (text, "UTF-8", 0)


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_one_message(content):
    try:
        decode(content, "a.txt").text.encode(errors="surrogatepass")
    except CorpusError as error:
        assert str(error).startswith("a.txt:")


def test_broken_bytes_in_utf8_are_replaced_and_counted():
    content = "caf\u00e9\n\u00fcber \ufffd\n".encode() + b"bro\xe9ken \xff\n"
    decoded = decode(content, "a")
    assert (decoded.text, decoded.n_broken, decoded.broken_line) == (
        "caf\u00e9\n\u00fcber \ufffd\nbro\ufffdken \ufffd\n", 2, 3)
    assert decode(b"\xef\xbb\xbfbro\xe9ken\n", "a").text == "bro\ufffdken\n"


def test_one_byte_outside_ascii_is_western():
    decoded = decode(b"all plain\nwords here\ncaf\xe9 once\n", "a")
    assert (decoded.text.splitlines()[2], decoded.encoding) == ("caf\u00e9 once", "WINDOWS-1252")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\xff\xfe", r"a: not text but a zip archive or a spreadsheet \(\.xlsx, \.ods\)"),
        (b"PAR1\xff", "a: not text but a Parquet file"),
        (b"x\n\0\xff\0", "a:2: not text"),
        ("\u00e9".encode("utf-16") + b"\xd8", "a:1: not UTF-16"),
    ],
)
def test_other_files_are_named(content, message):
    with pytest.raises(CorpusError, match=message):
        decode(content, "a")


@pytest.mark.parametrize("encoding", ["no-such", "base64", "rot13", "a\0b", ""])
def test_a_given_encoding_must_exist(encoding):
    if encoding:
        with pytest.raises(CorpusError, match="no encoding is called"):
            decode(b"a", "a", encoding)
    else:
        assert decode(b"a", "a", encoding).text == "a"


def test_a_given_encoding_is_strict():
    with pytest.raises(CorpusError, match="a:2: not UTF-8: byte 0xe9 at position 3; name the right encoding"):
        decode(b"ab\n\xe9\n", "a", "utf-8")


GERMAN, FRENCH = "Schöne Grüße, für größer über Straße; später\n", "le café est fermé, très bien; l'été, ça va où\n"


@pytest.mark.parametrize(("text", "codec", "name"), [
    (GERMAN, "mac_roman", "MAC-ROMAN"), (GERMAN, "cp850", "CP850"), (GERMAN, "cp1252", "WINDOWS-1252"),
    (FRENCH, "mac_roman", "MAC-ROMAN"), (FRENCH, "cp1252", "WINDOWS-1252"),
])
def test_encodings_of_excel_for_mac_and_of_ms_dos(text, codec, name):
    decoded = decode(f"text;label\n{text}".encode(codec), "a.csv")
    assert (decoded.text, decoded.encoding) == (f"text;label\n{text}", name)


def test_a_capital_letter_inside_a_word_is_no_sign_of_another_encoding():
    text = "McÉlroy went to the café, and naïve DeÀngelo to the café\n"
    assert decode(text.encode("cp1252"), "a.txt").text == text
