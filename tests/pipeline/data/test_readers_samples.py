"""The samples of this project: what their cards say of them is so."""

import re
from pathlib import Path

import pytest

from pipeline.data.config import DataConfig
from pipeline.data.readers.label_sets import LabelSetReader
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.lines import LineReader
from pipeline.data.readers.parallel import ParallelReader
from pipeline.data.readers.questions import QuestionReader
from pipeline.data.readers.ratings import RatingReader
from pipeline.data.readers.tagged import TaggedReader
from pipeline.measures.tagging import repair

DATA = Path(__file__).parents[3] / "data"
READERS = {
    ("support", "tsv"): LabelledReader().read_examples,
    ("support", "txt"): LineReader().read_file,
    ("pairs", "tsv"): LabelledReader().read_examples,
    ("hotels", "jsonl"): LabelSetReader().read_examples,
    ("ratings", "tsv"): RatingReader().read_examples,
    ("entities", "conll"): TaggedReader().read_file,
    ("questions", "json"): QuestionReader().read_file,
    ("stories", "txt"): LineReader().read_file,
    ("phrases", "en"): ParallelReader().read_file,
    ("phrases", "de"): ParallelReader().read_file,
}
FILES = [path for folder, suffix in READERS for path in sorted((DATA / folder).glob(f"*.{suffix}"))
         if path.name != "vectors.txt"]


def read(path):
    return READERS[path.parent.name, path.suffix[1:]](path, DataConfig())


def said(path, what):
    card = (path.parent / "CARD.md").read_text(encoding="utf-8")
    line = re.search(rf"^- (?:`[\w.]+`, )*`{re.escape(path.name)}`.*?:(.*(?:\n  .*)*)", card, re.MULTILINE)[1]
    return int(re.search(rf"([\d,]+) {what}", line)[1].replace(",", ""))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_cards_count_right(path):
    assert len(read(path)) == said(path, "(messages|sentences|pairs|questions|paragraphs|reviews|comments)")


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=lambda folder: folder.name)
def test_a_sample_is_small_and_has_a_card(folder):
    assert "# " + folder.name in (folder / "CARD.md").read_text(encoding="utf-8")
    assert f"`{folder.name}`" in (DATA / "README.md").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 120_000


@pytest.mark.parametrize("name", ["pairs", "hotels", "ratings", "entities", "questions", "phrases"])
def test_no_test_example_is_learned_from(name):
    suffix = next(suffix for folder, suffix in READERS if folder == name)
    seen = {example.key for example in read(DATA / name / f"train.{suffix}")}
    assert not seen & {example.key for example in read(DATA / name / f"test.{suffix}")}


def test_labels_and_tags():
    pairs = read(DATA / "pairs" / "train.tsv")
    assert {pair.label for pair in pairs} == {"entailment", "neutral", "contradiction"}
    assert all(pair.text_b for pair in pairs)
    for part, n_words in (("train", 1899), ("test", 484)):
        path = DATA / "entities" / f"{part}.conll"
        sentences = read(path)
        assert sum(len(sentence.words) for sentence in sentences) == n_words == said(path, "tokens")
        assert all(repair(sentence.tags) == list(sentence.tags) for sentence in sentences)  # IOB2
        assert {tag[0] for sentence in sentences for tag in sentence.tags} == set("OBI")
        names = [tag for sentence in sentences for tag in sentence.tags if tag.startswith("B-")]
        assert len(names) == said(path, "entities")
        assert names.count("B-person") == said(path, "persons")


def test_the_question_of_the_demonstration_is_held_out():
    for path in (DATA / "questions").glob("*.json"):
        assert "eiffel" not in path.read_text(encoding="utf-8").lower()
        assert all(example.answers for example in read(path))
        assert len({example.context for example in read(path)}) == said(path, "texts")


def test_every_token_of_a_translation_is_a_target():
    def words(part):
        files = (DATA / "phrases").glob(f"{part}.*")
        return {word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8").lower())}

    assert words("test") | words("dev") <= words("train")


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_stories_are_counted(part):
    path = DATA / "stories" / f"{part}.txt"
    text = path.read_text(encoding="utf-8")
    assert len(text.split()) == said(path, "words")
    assert len(text.split("\n\n")) == said(path, "stories")
