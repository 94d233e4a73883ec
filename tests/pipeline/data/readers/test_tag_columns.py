"""Which lines of a file of columns are words, and which columns the word and its tag."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.readers import findings
from pipeline.data.readers.tagged import TaggedReader
from pipeline.errors import DataError
from pipeline.tasks import base

GERMEVAL = ("#\thttp://example.org/x [2009-10-17]\n1\tAnna\tB-PER\tO\n2\tlives\tO\tO\n\n# http://example.org/y [2009]\n"
            "1\tPaul\tB-PER\tO\n2\tBank\tB-ORG\tB-PER\n3\t#\tO\tO\n")
NUMBERED_CONLL03 = "1 Anna NNP I-NP B-PER\n2 in IN I-PP O\n3 Rome NNP I-NP B-LOC\n\n1 Yes UH O O\n"
UNIVERSAL_NER = ("# sent_id = a-1\n# text = We can't\n1\tWe\tB-PER\t-\tx\n2\tcan't\tO\t-\tx\n\n"
                 "# sent_id = a-2\n1\tOslo\tB-LOC\t-\tx\n")
CONLLU = ("# newdoc\n# sent_id = 1\n# text = Don't go\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
          "1\tDo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_\n"
          "2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n"
          "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_\n3.1\tgone\t_\tVERB\t_\t_\t_\t_\t_\t_"
          "\n\n# sent_id = 2\n1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_\n")
WORD = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=" "), min_size=1, max_size=6)
TAG = st.sampled_from(["O", "B-a", "I-a", "B-b"])
SENTENCES = st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=5), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("columns")


def read(folder, content, name="a.conll", **config):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with findings.collecting() as found:
        examples, scheme = TaggedReader().read_tagged(path, DataConfig(**config))
    return [list(zip(one.words, one.tags, strict=True)) for one in examples], scheme, found


@pytest.mark.parametrize(("content", "sentences", "said"), [
    (GERMEVAL, ["Anna/B-PER lives/O", "Paul/B-PER Bank/B-ORG #/O"], "column 2, tags from column 3 of 4; the first"),
    (NUMBERED_CONLL03, ["Anna/B-PER in/O Rome/B-LOC", "Yes/O"], "column 2, tags from column 5 of 5; the first"),
    (UNIVERSAL_NER, ["We/B-PER can't/O", "Oslo/B-LOC"], "column 2, tags from column 3 of 5; the first"),
    (CONLLU, ["Do/AUX n't/PART go/VERB", "Yes/INTJ"], "column 2, tags from column 4 of 10; the first"),
    ("Anna NNP I-NP B-PER\nin IN I-PP O\n", ["Anna/B-PER in/O"], "column 1, tags from column 4 of 4; scheme"),
    ("Anna\tB-PER\tdoc1\nin\tO\tdoc1\n", ["Anna/B-PER in/O"], "column 1, tags from column 2 of 3; scheme"),
    ("Anna NNP I-NP O\nin IN I-PP O\n", ["Anna/O in/O"], "column 1, tags from column 4 of 4; scheme"),
    ("1 Anna NNP I-NP O\n2 in IN I-PP O\n", ["Anna/O in/O"], "column 2, tags from column 5 of 5; the first"),
    ("1\tAnna\tB-PER\tO\n2\tin\tO\tO\n", ["Anna/B-PER in/O"], "column 2, tags from column 3 of 4; the first"),
    ("0\tAnna\tB-PER\n1\tin\tO\n\n0\tRome\tB-LOC\n", ["Anna/B-PER in/O", "Rome/B-LOC"], "column 2, tags from column 3"),
    ("1\tO\n2\tO\n3\tB-x\n", ["1/O 2/O 3/B-x"], "column 1, tags from column 2 of 2; scheme"),
    ("1\tAnna\tNOUN\n2\tin\tADP\n", ["Anna/NOUN in/ADP"], "column 2, tags from column 3 of 3; the first"),
    ("# global.columns = ID FORM NE UPOS\n1\tAnna\tB-PER\tNOUN\n2\tin\tO\tADP\n", ["Anna/B-PER in/O"],
     "column 2 (FORM), tags from column 3 (NE) of 4"),
    ("# global.columns = ID LEMMA FORM UPOS FEATS\n1\tx\tAnna\tNOUN\t_\n2\ty\tin\tADP\t_\n", ["Anna/NOUN in/ADP"],
     "column 3 (FORM), tags from column 4 (UPOS) of 5"),
    ("token\tpos\tner\nAnna\tNN\tB-PER\nin\tIN\tO\n", ["Anna/B-PER in/O"],
     "column 1 (token), tags from column 3 (ner) of 3"),
])
def test_the_columns_are_found_and_reported(tmp_path, content, sentences, said):
    found, _, report = read(tmp_path, content)
    assert [" ".join(f"{word}/{tag}" for word, tag in sentence) for sentence in found] == sentences
    assert said in report.notes[0]


@given(sentences=SENTENCES, tabs=st.booleans(), layers=st.sampled_from([["{tag}"], ["{tag}", "O"], ["NN", "{tag}"]]),
       start=st.sampled_from([0, 1]), newline=st.sampled_from(["\n", "\r\n"]), comments=st.booleans())
def test_numbered_files_are_read_as_the_plain_ones(folder, sentences, tabs, layers, start, newline, comments):
    sentences = [[("Aa", "B-a"), ("b", "I-a")], *sentences]
    by = "\t" if tabs else " "
    blocks = [newline.join([*(["# text = a b O"] if comments else []),
                            *(by.join([str(i), word, *(layer.format(tag=tag) for layer in layers)])
                              for i, (word, tag) in enumerate(sentence, start))]) for sentence in sentences]
    assert read(folder, (newline * 2).join(blocks))[0] == sentences


@given(sentences=SENTENCES)
def test_comments_are_no_words_and_hash_signs_are(folder, sentences):
    sentences = [[("#", "O"), ("#", "B-a")], *sentences]
    blocks = ["# id = 1\n# A comment, without a tag\n" + "\n".join(f"{word}\t{tag}" for word, tag in sentence)
              for sentence in sentences]
    found, _, report = read(folder, "\n\n".join(blocks))
    assert found == sentences
    assert report.notes[1] == f"{folder / 'a.conll'}: {2 * len(sentences)} comments; the first is in line 1"


def test_the_comments_of_plain_files(tmp_path):
    content = "#begin document (x); part 000\n# http://x/y\nUse NN\n# NN\n\n# NN\n#tag NN\n\n#end document\n"
    assert read(tmp_path, content)[0] == [[("Use", "NN"), ("#", "NN")], [("#", "NN"), ("#tag", "NN")]]
    with pytest.raises(DataError, match=r"a\.conll:3: expected a word and its tag, separated by a tab; found '#tag'"):
        read(tmp_path, "a\tB-x\n\n#tag\nb\tO\n")


def test_a_number_that_starts_again_begins_a_sentence(tmp_path):
    assert [len(sentence) for sentence in read(tmp_path, "1 a O\n2 b B-x\n1 c O\n1 d O\n")[0]] == [2, 1, 1]


def test_numbers_that_start_again_in_a_file_with_blank_lines_are_reported(tmp_path):
    found, _, report = read(tmp_path, "1 a O\n2 b B-x\n1 c O\n\n1 d O\n")
    assert [len(sentence) for sentence in found] == [3, 1]
    [warning] = report.warnings
    assert "a.conll: 1 times the numbers start again without a blank line" in warning and "line 3" in warning


def test_documents_in_numbered_files(tmp_path):
    assert read(tmp_path, "1 -DOCSTART- -X- O O\n\n1 a NN O O\n2 b NN O B-x\n")[0] == [[("a", "O"), ("b", "B-x")]]


@pytest.mark.parametrize(("options", "sentence"), [
    ({"tag_column": "4"}, "Anna/O lives/O"), ({"tag_column": 4}, "Anna/O lives/O"),
    ({"tag_column": -1}, "Anna/O lives/O"), ({"word_column": 1, "tag_column": "3"}, "1/B-PER 2/O"),
    ({"word_column": "-3", "tag_column": "-2"}, "Anna/B-PER lives/O"),
])
def test_columns_can_be_chosen(tmp_path, options, sentence):
    found = read(tmp_path, GERMEVAL, **options)[0][0]
    assert " ".join(f"{word}/{tag}" for word, tag in found) == sentence


def test_columns_can_be_chosen_by_name(tmp_path):
    content = "# global.columns = ID FORM UPOS XPOS\n1\tAnna\tNOUN\tNN\n2\tin\tADP\tIN\n"
    assert read(tmp_path, content)[0][0][0] == ("Anna", "NOUN")
    assert read(tmp_path, content, tag_column="xpos")[0][0][0] == ("Anna", "NN")
    message = r"no column 'x'; the columns are ID, FORM, UPOS, XPOS\. Choose one with --tag-column"
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, tag_column="x")


@pytest.mark.parametrize(("content", "options", "message"), [
    (GERMEVAL, {"tag_column": 5}, r"there is no column 5; most lines have 4 columns\. Choose one with --tag-column"),
    (GERMEVAL, {"tag_column": 0}, "there is no column 0"),
    (GERMEVAL, {"word_column": -5}, r"there is no column -5; .*--word-column"),
    (GERMEVAL, {"tag_column": "ner"}, "no column 'ner'; the file does not name its columns"),
    (GERMEVAL, {"word_column": 3, "tag_column": 3}, "column 3 cannot be both the words and the tags"),
    ("1\tAnna\tx\ty\n2\tin\tx\ty\n", {},
     "none of the other 3 columns has tags such as B-x and O; choose .*--tag-column"),
    ("1 a O\n2 b B-x\nc O O\n" + "".join(f"{i} x O\n" for i in range(1, 40)), {},
     r"a\.conll:3: the first column numbers the words in the other lines; expected a number and found 'c O O'"),
    ("1\ta\tB-x\n2\tb\tO\n3\tc\n", {},
     r"a\.conll:3: expected a word in column 2 and its tag in column 3, separated by a tab"),
    ("1\ta\tB-x\n2\tb\tNN\n", {}, r"a\.conll:2: the tag 'NN' belongs to no known scheme"),
])
def test_what_does_not_fit_is_named(tmp_path, content, options, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, **options)


@pytest.mark.parametrize(("tags", "scheme", "in_iob2"), [
    ("B-x I-x O B-x", "IOB2", "B-x I-x O B-x"), ("I-x I-x O I-y B-y", "IOB1", "B-x I-x O B-y B-y"),
    ("S-x B-x I-x E-x O", "IOBES", "B-x B-x I-x I-x O"), ("U-x B-x I-x L-x", "BILOU", "B-x B-x I-x I-x"),
    ("B-x M-x M-x E-x S-x O", "BMES", "B-x I-x I-x I-x B-x O"), ("B I O", "IOB2", "B-entity I-entity O"),
    ("B M E S", "BMES", "B-entity I-entity I-entity B-entity"), ("NOUN X NOUN", "plain tags", "NOUN X NOUN"),
    ("PER O LOC O", "plain tags", "PER O LOC O"), ("O O", "IOB2", "O O"),
])
def test_schemes(tmp_path, tags, scheme, in_iob2):
    content = "".join(f"w {tag}\n" for tag in tags.split())
    assert read(tmp_path, content)[1] == scheme
    [example] = base.find("tagging").reader.read_file(tmp_path / "a.conll", DataConfig())
    assert " ".join(example.tags) == in_iob2


@pytest.mark.parametrize(("suffix", "pack"), [
    (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstandard.compress)])
def test_compressed_files(tmp_path, suffix, pack):
    plain = read(tmp_path, GERMEVAL)[:2]
    assert read(tmp_path, pack(GERMEVAL.encode()), f"train.conll{suffix}")[:2] == plain
    (tmp_path / "test.conll").write_text(GERMEVAL)
    assert len(TaggedReader().read(DataConfig(path=str(tmp_path)), seed=1).train) == 2


def test_all_files_of_a_folder_have_the_columns_of_the_train_file(tmp_path):
    (tmp_path / "train.tsv").write_text(GERMEVAL)
    (tmp_path / "test.tsv").write_text("1\tBonn\tO\tO\n2\tBank\tO\tB-PER\n")
    assert read(tmp_path, (tmp_path / "test.tsv").read_bytes())[0] == [[("Bonn", "O"), ("Bank", "B-PER")]]
    splits = TaggedReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert [example.tags for example in splits.test] == [("O", "O")]
    assert splits.train[1].tags == ("B-PER", "B-ORG", "O")


ROWS = [{"id": "0", "tokens": ["Anna", "lives", "in"], "ner_tags": ["B-PER", "O", "O"], "pos_tags": ["N", "V", "P"]},
        {"id": "1", "tokens": ["Oslo"], "ner_tags": ["B-LOC"], "pos_tags": ["N"]}]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet", "arrow"])
def test_lists_in_tables(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    table = pa.Table.from_pylist(ROWS)
    if suffix == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif suffix == "arrow":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    else:
        path.write_text(json.dumps(ROWS) if suffix == "json" else "\n".join(map(json.dumps, ROWS)))
    examples, scheme = TaggedReader().read_tagged(path, DataConfig())
    assert [(list(one.words), list(one.tags)) for one in examples] == [(row["tokens"], row["ner_tags"]) for row in ROWS]
    assert scheme == "IOB2"
    assert TaggedReader().read_tagged(path, DataConfig(tag_column="pos_tags")).scheme == "plain tags"


@pytest.mark.parametrize("feature", ["Sequence", "List", "old"])
def test_names_of_numbers(tmp_path, feature):
    classes = {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}
    described = [classes] if feature == "old" else {"feature": classes, "_type": feature}
    features = {"tokens": [], "ner_tags": described}
    table = pa.Table.from_pylist([{"tokens": ["Anna", "Lee", "ran"], "ner_tags": [1, 2, 0]}])
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    with findings.collecting() as found:
        examples, scheme = TaggedReader().read_tagged(path, DataConfig())
    assert (examples[0].tags, scheme) == (("1", "2", "0"), "plain tags")
    assert "the tags in 'ner_tags' are numbers, and the file does not name them" in found.warnings[0]
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)
    with findings.collecting() as found:
        examples, scheme = TaggedReader().read_tagged(path, DataConfig())
    assert (examples[0].tags, scheme, found.warnings) == (("B-PER", "I-PER", "O"), "IOB2", [])


@pytest.mark.parametrize(("rows", "message"), [
    ([{"tokens": ["a", "b"], "tags": ["O"]}], r"a\.jsonl:1: 2 words in 'tokens', but 1 tags in 'tags'"),
    ([{"tokens": "a b", "tags": ["O"]}], r"a\.jsonl:1: 'tokens' is not a list \(a b\); expected a list of words"),
    ([{"tokens": [{"x": 1}], "tags": ["O"]}], r"a\.jsonl:1: 'tokens' is an object"),
    ([{"tokens": ["a"], "tags": [None]}], r"a\.jsonl:1: the word 'a' has no tag"),
    ([{"tokens": ["a"]}], r"a\.jsonl: none of the columns 'tokens' has a usual name .*--tag-column NAME"),
    ([{"tokens": [], "tags": []}], r"a\.jsonl: the file has no tagged words"),
])
def test_rows_that_do_not_fit_are_named(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")


def test_empty_rows_are_counted(tmp_path):
    content = '{"tokens": [], "tags": []}\n{"tokens": ["a"], "tags": ["B-x"]}\n{"tokens": null, "tags": null}\n'
    found, _, report = read(tmp_path, content, "a.jsonl")
    assert found == [[("a", "B-x")]]
    assert report.unused["empty (left out)"].count == 2


def test_tags_separated_by_commas_are_refused_with_advice_that_works(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("London,B-LOC\nis,O\n")
    with pytest.raises(DataError, match=r"a\.csv:1: .*Columns separated by ',' are not read: write tabs, and a blank"):
        TaggedReader().read_file(path, DataConfig())
    path.write_text("London\tB-LOC\nis\tO\n\nno\tO\n")
    assert [example.words for example in TaggedReader().read_file(path, DataConfig())] == [("London", "is"), ("no",)]
