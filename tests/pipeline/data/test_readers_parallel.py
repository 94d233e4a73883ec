"""Texts and their translations: two files, or two columns; which language is which; and what does not fit together."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.parallel import ParallelReader, find_languages
from pipeline.errors import DataError

LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\ufeff"), min_size=1).filter(str.strip)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("parallel")


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content, encoding="utf-8", newline="")
    return folder


def read(path, seed=1, **config):
    return ParallelReader().read(DataConfig(path=str(path), **config), seed=seed)


def sides(examples):
    return [(example.source, example.target) for example in examples]


@given(pairs=st.lists(st.tuples(LINE, LINE), min_size=1, max_size=6), newline=st.sampled_from(["\n", "\r\n"]),
       last=st.booleans())
def test_line_by_line(shared, pairs, newline, last):
    english, german = (newline.join(side) + newline * last for side in zip(*pairs, strict=True))
    write(shared, a_en=english, a_de=german)
    examples = ParallelReader().read_file(shared / "a.en", DataConfig(languages=("en", "de")))
    assert sides(examples) == pairs
    assert [example.where for example in examples] == [f"{shared / 'a.en'}:{i + 1}" for i in range(len(pairs))]
    swapped = ParallelReader().read_file(shared / "a.en", DataConfig(languages=("de", "en")))
    assert sides(swapped) == [(target, source) for source, target in pairs]


def test_languages_are_in_alphabetical_order_or_as_configured(tmp_path):
    write(tmp_path, train_en="dog\ncat\n", train_de="Hund\nKatze\n", test_en="cow\n", test_de="Kuh\n")
    assert sides(read(tmp_path).train) == [("Hund", "dog"), ("Katze", "cat")]
    told = read(tmp_path, languages=["en", "de"])
    assert (sides(told.train), sides(told.test)) == ([("dog", "Hund"), ("cat", "Katze")], [("cow", "Kuh")])
    assert told.train[0].gold == "Hund"
    assert find_languages(DataConfig(path=str(tmp_path))) == ("de", "en")


def test_tables(tmp_path):
    write(tmp_path, train_tsv="Target\tsource\nHund\tdog\nKatze\tcat\n", test_csv="source,target\ncow,Kuh\n")
    splits = read(tmp_path)
    assert (sides(splits.train), sides(splits.test)) == ([("dog", "Hund"), ("cat", "Katze")], [("cow", "Kuh")])
    assert find_languages(DataConfig(path=str(tmp_path))) == ()
    write(tmp_path, named_jsonl='{"de": "Hund", "en": "dog"}\n')
    named = ParallelReader().read_file(tmp_path / "named.jsonl", DataConfig(languages=("en", "de")))
    assert sides(named) == [("dog", "Hund")]


def test_one_pair_of_files_is_split(tmp_path):
    write(tmp_path, all_en="".join(f"{i}\n" for i in range(40)), all_de="".join(f"{-i}\n" for i in range(40)))
    splits = read(tmp_path / "all.en", limit_train=20)
    assert [len(part) for part in (splits.train, splits.dev, splits.test, splits.unlabelled)] == [20, 0, 10, 10]
    assert all(example.source == str(-int(example.target)) for example in splits.train)


def test_lines_that_are_blank_in_one_language_are_reported(tmp_path):
    write(tmp_path, a_en="dog\n\ncat\n \n", a_de="Hund\nx\n\n\n")
    with findings.collecting() as found:
        examples = ParallelReader().read_file(tmp_path / "a.en", DataConfig(languages=("en", "de")))
    assert sides(examples) == [("dog", "Hund")]
    [(reason, unused)] = found.unused.items()
    assert (reason, unused.count, unused.first) == ("blank in one language (left out)", 3, f"{tmp_path / 'a.en'}:2")


def test_blank_lines_at_the_end_of_one_file_are_nothing(tmp_path):
    write(tmp_path, a_en="dog\ncat\n\n \n", a_de="Hund\nKatze\n")
    examples = ParallelReader().read_file(tmp_path / "a.en", DataConfig(languages=("en", "de")))
    assert sides(examples) == [("dog", "Hund"), ("cat", "Katze")]


def test_the_first_line_without_a_counterpart_is_named(tmp_path):
    write(tmp_path, a_en="dog\ncat\ncow\n", a_de="Hund\n")
    with pytest.raises(DataError, match=r"a\.en:2 has none in .*a\.de"):
        ParallelReader().read_file(tmp_path / "a.en", DataConfig(languages=("en", "de")))


PAIRS = [{"de": f"Hund {i}", "en": f"dog {i}"} for i in range(8)]


@pytest.mark.parametrize("layout", ["jsonl", "json", "parquet", "lists"])
@pytest.mark.parametrize("languages", [(), ("en", "de"), ("de", "en")])
def test_objects_with_the_texts_by_language(tmp_path, layout, languages):
    records = [{"id": str(i), "translation": pair} for i, pair in enumerate(PAIRS)]
    path = tmp_path / f"a.{layout.replace('lists', 'jsonl')}"
    if layout == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
    elif layout == "lists":
        path.write_text("\n".join(json.dumps({"translation": {"language": [*pair], "translation": [*pair.values()]}})
                                  for pair in PAIRS))
    else:
        path.write_text(json.dumps(records) if layout == "json" else "\n".join(map(json.dumps, records)))
    source, target = languages or ("de", "en")
    splits = read(path, languages=list(languages))
    expected = {(pair[source], pair[target]) for pair in PAIRS}
    assert {*sides(splits.train), *sides(splits.test)} == expected
    assert find_languages(DataConfig(path=str(path), languages=languages)) == (source, target)


def test_objects_with_three_languages_need_a_choice(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"translation": {**pair, "fr-FR": f"chien {pair['en']}"}}) for pair in PAIRS))
    with pytest.raises(DataError, match=r"found 'de', 'en', 'fr-FR'; choose two with --set 'data\.languages"):
        read(path)
    assert read(path, languages=["fr", "de"]).train[0].source.startswith("chien")
    path.write_text('{"translation": {"de": "x", "en": "y"}}\n{"translation": "x"}')
    with pytest.raises(DataError, match=r"a\.jsonl:2: 'translation' is not an object with the texts by language"):
        read(path)


def test_compressed_files(tmp_path):
    for language in ("de", "en"):
        text = "".join(f"{pair[language]}\n" for pair in PAIRS)
        (tmp_path / f"train.{language}.gz").write_bytes(gzip.compress(text.encode()))
    write(tmp_path, test_en="dog\n", test_de="Hund\n")
    splits = read(tmp_path)
    assert sides(splits.train) == [(pair["de"], pair["en"]) for pair in PAIRS]
    assert sides(splits.test) == [("Hund", "dog")]


@pytest.mark.parametrize(
    ("files", "config", "message"),
    [
        ({"train_en": "a\nb\n", "train_de": "x\n"}, {}, r"train\.de has 1 lines and .*train\.en has 2"),
        ({"train_en": "a\n"}, {}, r"expected two files train\.\*, one per language, and found 1 \.en; choose"),
        ({"train_en": "a\n", "train_de": "x\n", "train_fr": "y\n"}, {}, r"found 3 \.de \.en \.fr; choose"),
        ({"train_en": "a\n"}, {"languages": ["en", "de"]}, r"train\.de: no such file"),
        ({"train_en": "a\n"}, {"languages": ["de", "en"]}, r"no file train\.\* \(\.de "),
        ({"train_en": "\n", "train_de": "x\n"}, {}, r"train\.de: the file has no text with a translation"),
        ({"train_tsv": "a\tb\nx\ty\n"}, {}, r"train\.tsv: the columns are 'a', 'b'; rename two of them to source"),
        ({"train_tsv": "source\tde\nx\ty\n"}, {"languages": ["en", "de"]}, r"the columns are 'source', 'de'"),
        ({"train_jsonl": '{"source": "x", "target": ""}\n{"source": "x"}\n'}, {},
         r"train\.jsonl: the file has no text with a translation"),
    ],
)
def test_mismatches_are_named(tmp_path, files, config, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, **files), **config)


def test_a_file_in_neither_language(tmp_path):
    write(tmp_path, a_en="a\n", a_de="x\n", a_fr="y\n")
    with pytest.raises(DataError, match=r"a\.fr: expected a table .* or a file with the suffix of a language"):
        ParallelReader().read_file(tmp_path / "a.fr", DataConfig(languages=("en", "de")))
