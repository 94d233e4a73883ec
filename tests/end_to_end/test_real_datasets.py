"""Tests on real data sets; they run if VECFORMER_DATASETS is the folder of the data sets."""

from collections import Counter

import pytest

from embeddings import WordTokenizer, load_vectors
from embeddings.tokenization.corpus import CorpusFiles
from pipeline import RunConfig, run
from pipeline.data.config import DataConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.lines import LineReader
from pipeline.data.readers.parallel import ParallelReader
from pipeline.data.readers.questions import QuestionReader
from pipeline.data.readers.tagged import TaggedReader
from pipeline.errors import DataError
from pipeline.measures.tagging import repair

pytestmark = pytest.mark.datasets

SIZES = {
    "sst2": (6920, 872, 1821, 2),
    "trec6": (4952, 500, 500, 6),
    "germeval2018_de": (4509, 500, 3532, 2),
    "masakhanews_yor": (1433, 206, 411, 5),
}


@pytest.mark.parametrize("name", SIZES)
def test_folders_are_read_whole(datasets, name):
    splits = LabelledReader().read(DataConfig(path=str(datasets / name)), seed=1)
    sizes = len(splits.train), len(splits.dev), len(splits.test), len({example.label for example in splits.train})
    assert sizes == SIZES[name]


def test_quotes_in_tsv_are_text(datasets):
    splits = LabelledReader().read(DataConfig(path=str(datasets / "mr")), seed=1)
    assert any(example.text.startswith('" birthday girl "') for example in splits.train)


def sizes(splits):
    return len(splits.train), len(splits.dev), len(splits.test)


def test_pairs(datasets):
    splits = LabelledReader().read(DataConfig(path=str(datasets / "sick")), seed=1)
    assert sizes(splits) == (4500, 500, 4927)
    assert Counter(pair.label for pair in splits.train) == {"contradiction": 665, "entailment": 1299, "neutral": 2536}
    assert all(pair.text and pair.text_b for pair in splits.test)


def test_tagged_words(datasets):
    splits = TaggedReader().read(DataConfig(path=str(datasets / "wnut17_ner")), seed=1)
    parts = splits.train, splits.dev, splits.test
    assert sizes(splits) == (3394, 1009, 1287)
    assert [sum(len(sentence.words) for sentence in part) for part in parts] == [62730, 15733, 23394]
    for part in parts:
        assert all(repair(sentence.tags) == list(sentence.tags) for sentence in part)  # IOB2
        assert {tag[0] for sentence in part for tag in sentence.tags} == set("OBI")
    entities = Counter(tag[2:] for sentence in splits.test for tag in sentence.tags if tag.startswith("B-"))
    assert entities == {"location": 150, "group": 165, "person": 429, "creative-work": 142, "corporation": 66,
                        "product": 127}


def test_questions_about_articles(datasets, caplog):
    splits = QuestionReader().read(DataConfig(path=str(datasets / "squad_v1_devsplit")), seed=1)
    parts = splits.train, splits.dev, splits.test
    assert sizes(splits) == (8769, 705, 1096)
    contexts = [{question.context for question in part} for part in parts]
    assert [len(part) for part in contexts] == [1698, 130, 239]
    assert all(question.context[answer.start :].startswith(answer.text)
               for part in parts for question in part for answer in question.answers)
    assert not caplog.records


def test_translations(datasets):
    splits = ParallelReader().read(DataConfig(path=str(datasets / "multi30k_en_de"), languages=("en", "de")), seed=1)
    assert sizes(splits) == (29000, 1014, 1000)
    assert splits.train[0].source == "Two young, White males are outside near many bushes."
    assert splits.train[-1].target.startswith("Ein Mann in Shorts und Hawaiihemd lehnt sich über das Geländer")


def test_lines_of_plays(datasets):
    splits = LineReader().read(DataConfig(path=str(datasets / "tinyshakespeare_lm")), seed=1)
    words = [sum(len(line.text.split()) for line in part) for part in (splits.train, splits.dev, splits.test)]
    assert words == [182487, 10174, 9990]
    assert int(splits.train[-1].where.rsplit(":", 1)[1]) <= 35523
    with pytest.raises(DataError, match=r"no file train\.\*"):
        LineReader().read(DataConfig(path=str(datasets / "wikitext2_lm")), seed=1)


def test_questions_are_learned(datasets, tmp_path):
    config = RunConfig.from_mapping(
        {"recipe": "plain", "source": "glove", "training": {"epochs": 8},
         "data": {"path": str(datasets / "trec6"), "limit_train": 600}}
    )
    made = run(config, tmp_path / "run")
    assert made.metrics["test"]["accuracy"] > 0.65
    assert made.metrics["baselines"]["majority"]["accuracy"] < 0.3
    assert made.metrics["dev"]["n"] == 500


def test_words_of_a_tonal_language_stay_whole(datasets):
    splits = LabelledReader().read(DataConfig(path=str(datasets / "masakhanews_yor")), seed=1)
    counts = WordTokenizer().count(example.text for example in splits.train)
    assert counts["ọ̀rọ̀"] + counts["àwọn"] > 100


def test_word2vec_learns_from_a_gzip_corpus(datasets):
    corpus = CorpusFiles((datasets / "corpus_en" / "abc.txt.gz",))
    table = load_vectors("word2vec,dim=50,epochs=5", ["government", "minister", "rain"], texts=corpus)
    government, minister, rain = table.vectors / ((table.vectors**2).sum(axis=1, keepdims=True) ** 0.5)
    assert government @ minister > government @ rain
