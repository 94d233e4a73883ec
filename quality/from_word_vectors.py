"""The study of the default, which starts from word vectors, beside linear models, fastText and pretrained encoders."""

from __future__ import annotations

from declaration import DEFAULT, FEW, Column, Row, Study

BBC_TEST_SHARE = 0.2347  # 500 of the 2,127 articles
LOGISTIC_REGRESSION = {"C": 10, "max_iter": 1000}

INTRODUCTION = """# Test accuracy, compared with peers

- **vecformer** is `vecformer run --data FOLDER --seed N` without other options.
- All columns of a row read the same files for each seed. With a number of labels, the seed draws them evenly over the
  labels; the other training texts are unlabelled text, which the peers cannot use, and the dev file of the data set is
  not used. Otherwise vecformer uses the dev file to stop training; the peers do not use it.
- **LR** is logistic regression (C = 10). **fastText** is the better of two settings by mean accuracy on the test set,
  which favours it.
- Columns with * start from a language model that was trained on a large amount of other text (all-MiniLM-L6-v2).
"""

COLUMNS = (
    Column(DEFAULT, "vecformer", options=()),
    Column("plain", "vecformer, `--recipe plain`", options=("--recipe", "plain")),
    Column("tfidf", "TF-IDF + LR", settings={"peer": "tfidf", "characters": None, **LOGISTIC_REGRESSION},
           is_deterministic=True),
    Column("tfidf-characters", "TF-IDF of words and characters + LR",
           settings={"peer": "tfidf", "characters": (2, 5), **LOGISTIC_REGRESSION}, is_deterministic=True),
    Column("fasttext-5", "fastText", best_of="fasttext",
           settings={"peer": "fasttext", "epoch": 5, "lr": 0.25, "wordNgrams": 2, "dim": 10}),
    Column("fasttext-25", "fastText", best_of="fasttext",
           settings={"peer": "fasttext", "epoch": 25, "lr": 0.5, "wordNgrams": 2, "dim": 50}),
    Column("minilm", "frozen MiniLM + LR", settings={"peer": "minilm", "C": 10, "max_iter": 2000}, kinds=(FEW,),
           is_pretrained=True),
    Column("model2vec", "model2vec", settings={"peer": "model2vec", "pca_dims": 256}, kinds=(FEW,), is_pretrained=True),
    Column("setfit", "SetFit", settings={"peer": "setfit", "max_steps": 300, "batch_size": 16}, kinds=(FEW,),
           is_pretrained=True),
)

ROWS = (
    Row("sst2", "sst2", 85.5),
    Row("sst2, phrases", "sst2", 87.2, train_file="train_phrases.tsv"),
    Row("trec6", "trec6", 94.0),
    Row("mr", "mr", 80.5),
    Row("ag_news", "ag_news", 89.8),
    Row("germeval2018_de", "germeval2018_de", 73.0),
    Row("masakhanews_yor", "masakhanews_yor", 91.0),
    Row("afrisenti_swa", "afrisenti_swa", 62.0),
    Row("bbc, 50 labels", "bbc", 94.5, labels=50, test_share=BBC_TEST_SHARE),
    Row("bbc, 20 labels", "bbc", 91.0, labels=20, test_share=BBC_TEST_SHARE),
    Row("ag_news, 1,000 labels", "ag_news", 87.5, labels=1000),
    Row("bbc, 1,000 labels", "bbc", 98.0, labels=1000, test_share=BBC_TEST_SHARE),
)

STUDY = Study("quality", "make quality", INTRODUCTION, ROWS, COLUMNS)
