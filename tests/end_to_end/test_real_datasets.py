"""Real data sets beside the checkout; run when VECFORMER_DATASETS names their folder."""

import pytest

from embeddings import WordTokenizer, load_vectors
from embeddings.words.corpus import CorpusFiles
from pipeline import RunConfig, run
from pipeline.config import DataConfig
from pipeline.data.datasets import read_splits

pytestmark = pytest.mark.datasets

SIZES = {
    "sst2": (6920, 872, 1821, 2),
    "trec6": (4952, 500, 500, 6),
    "germeval2018_de": (4509, 500, 3532, 2),
    "masakhanews_yor": (1433, 206, 411, 5),
}


@pytest.mark.parametrize("name", SIZES)
def test_folders_are_read_whole(datasets, name):
    splits = read_splits(DataConfig(path=str(datasets / name)), seed=1)
    sizes = len(splits.train), len(splits.dev), len(splits.test), len({example.label for example in splits.train})
    assert sizes == SIZES[name]


def test_quotes_in_tsv_are_text(datasets):
    splits = read_splits(DataConfig(path=str(datasets / "mr")), seed=1)
    assert any(example.text.startswith('" birthday girl "') for example in splits.train)


def test_questions_are_learned(datasets, tmp_path):
    config = RunConfig.from_mapping(
        {"data": {"path": str(datasets / "trec6"), "limit_train": 600}, "source": "glove", "training": {"epochs": 8}}
    )
    made = run(config, tmp_path / "run")
    assert made.metrics["test"]["accuracy"] > 0.65
    assert made.metrics["baselines"]["majority"]["accuracy"] < 0.3
    assert made.metrics["dev"]["n"] == 500


def test_words_of_a_tonal_language_stay_whole(datasets):
    splits = read_splits(DataConfig(path=str(datasets / "masakhanews_yor")), seed=1)
    counts = WordTokenizer().count(example.text for example in splits.train)
    assert counts["ọ̀rọ̀"] + counts["àwọn"] > 100


def test_word2vec_learns_from_a_gzip_corpus(datasets):
    corpus = CorpusFiles((datasets / "corpus_en" / "abc.txt.gz",))
    table = load_vectors("word2vec,dim=50,epochs=5", ["government", "minister", "rain"], texts=corpus)
    government, minister, rain = table.vectors / ((table.vectors**2).sum(axis=1, keepdims=True) ** 0.5)
    assert government @ minister > government @ rain
