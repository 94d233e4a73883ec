"""Translation memories: languages and regions, codes in segments, encodings, and XML that is dangerous or damaged."""

import gzip

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.parallel import ParallelReader, find_languages
from pipeline.data.readers.tmx import read_tmx
from pipeline.errors import DataError

HEAD = '<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4">\n'


def tmx(*units, srclang="en-US", encoding="utf-8"):
    variants = ("".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in unit) for unit in units)
    body = "".join(f"<tu>{unit}</tu>\n" for unit in variants)
    return f'{HEAD.format(encoding=encoding)}<header srclang="{srclang}"/><body>\n{body}</body></tmx>'


def read(folder, content, name="a.tmx", **config):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    config = DataConfig(path=str(path), **config)
    with findings.collecting() as found:
        examples = ParallelReader().read_file(path, config)
    return [(one.source, one.target) for one in examples], found


HELLO = [("en-US", "Hello"), ("de-DE", "Hallo")]


@pytest.mark.parametrize(("srclang", "languages", "pair"), [
    ("en-US", (), ("Hello", "Hallo")), ("de", (), ("Hallo", "Hello")), ("*all*", (), ("Hallo", "Hello")),
    ("en-US", ("de", "en"), ("Hallo", "Hello")), ("en", ("EN_us", "de-AT"), ("Hello", "Hallo")),
])
def test_the_header_or_the_configuration_names_the_source(tmp_path, srclang, languages, pair):
    assert read(tmp_path, tmx(HELLO, srclang=srclang), languages=languages)[0] == [pair]


def test_regions_of_one_language_are_one_language(tmp_path):
    content = tmx(HELLO, [("en-GB", "Bye"), ("de-AT", "Baba")])
    assert read(tmp_path, content)[0] == [("Hello", "Hallo"), ("Bye", "Baba")]
    assert find_languages(DataConfig(path=str(tmp_path / "a.tmx"))) == ("en", "de")
    both = tmx([("en-US", "color"), ("en-GB", "colour")])
    assert read(tmp_path, both, languages=("en-GB", "en-US"))[0] == [("colour", "color")]


def test_units_without_a_language_and_alternatives_are_reported(tmp_path):
    content = tmx(HELLO, [("en-US", "Only"), ("fr", "Seul")], [*HELLO, ("de-DE", "Guten Tag")])
    pairs, found = read(tmp_path, content, languages=("en", "de"))
    assert pairs == [("Hello", "Hallo")] * 2
    assert found.unused["blank in one language (left out)"].first.endswith("a.tmx:6")
    assert any("1 further variants in a language of their unit" in note for note in found.notes)


def test_segments_are_read_without_codes(tmp_path):
    text = ('A <bpt i="1">&lt;b></bpt>big<ept i="1">&lt;/b></ept> <hi>red</hi>\n   dog<ph>{<sub>no</sub>}</ph> &amp; '
            '<it pos="begin">x</it>1&#160;000 <![CDATA[<cat>]]><!-- no -->')
    assert read(tmp_path, tmx([("en", text), ("de", "x")]))[0] == [("A big red dog & 1\u00a0000 <cat>", "x")]


@pytest.mark.parametrize(("encoding", "codec"), [
    ("utf-8", "utf-8-sig"), ("utf-16", "utf-16"), ("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252")])
def test_the_declared_encoding_is_used(tmp_path, encoding, codec):
    content = tmx([("en", "café"), ("de", "Käse")], encoding=encoding).encode(codec)
    assert read(tmp_path, content)[0] == [("café", "Käse")]
    (tmp_path / "b.tmx.gz").write_bytes(gzip.compress(content))
    assert ParallelReader().read_file(tmp_path / "b.tmx.gz", DataConfig())[0].source == "café"


@pytest.mark.parametrize(("content", "message"), [
    ('<!DOCTYPE t [<!ENTITY a "x">]><tmx><body/></tmx>', r"a\.tmx:1: the file declares the entity 'a'"),
    ('<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/passwd">]><tmx>&a;</tmx>', r"a\.tmx:1: the file declares the entity"),
    ('<!DOCTYPE t [\n<!ENTITY % a SYSTEM "http://x/y">%a;]><tmx/>', r"a\.tmx:2: the file declares the entity"),
    ("<tmx>\n<body>&nbsp;</body></tmx>", r"a\.tmx:2: not XML \(undefined entity"),
    ("<tmx>\n<body><tu>", r"a\.tmx:2: not XML \(no element found"),
    ("<tmx></body>", r"a\.tmx:1: not XML \(mismatched tag"),
    ("", r"a\.tmx:1: not XML"),
    (b"\x00\xff", r"a\.tmx:1: not XML"),
    ("<tmx><body/></tmx>", r"a\.tmx: no translation unit <tu> with a text"),
    ("<tmx><tu><tuv><seg>x</seg></tuv></tu></tmx>", r"a\.tmx:1: <tuv> without a language; add xml:lang"),
    ("<a>" * 200, r"a\.tmx:1: elements are nested more than 100 deep"),
    ('<?xml version="1.0" encoding="latin-99"?><tmx/>', r"a\.tmx: XML in an encoding that cannot be read"),
    (tmx(HELLO, [("fr", "Salut")]), r"a\.tmx: .*languages.*de-DE|two languages, and found"),
])
def test_malformed_files_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_language_that_is_not_in_the_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.tmx: no text in the language 'fr'; the languages are 'en-US', 'de-DE'"):
        read(tmp_path, tmx(HELLO), languages=("en", "fr"))


def test_a_folder(tmp_path):
    (tmp_path / "train.tmx").write_text(tmx(*[[("en", f"dog {i}"), ("de", f"Hund {i}")] for i in range(20)]))
    (tmp_path / "test.tmx").write_text(tmx([("en", "cow"), ("de", "Kuh")], srclang="de"))
    splits = ParallelReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert (len(splits.train), splits.test[0].source) == (20, "cow")


def test_only_as_many_units_as_wanted_are_read(tmp_path):
    content = tmx(*[HELLO] * 5).encode()
    assert len(read_tmx(tmp_path / "a.tmx", content, max_units=2).units) == 2
