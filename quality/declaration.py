"""What `make quality` measures: the rows (data and targets) and the columns (settings of vecformer, and peers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.benchmark.analysis.statistics import seeds_needed

MIN_SEEDS = 6
BBC_TEST_SHARE = 0.2347  # 500 of the 2,127 articles
FULL, FEW = "full", "few"


@dataclass(frozen=True)
class Row:
    """A data set, with all of its labels or with a number of labels that the seed draws.

    Attributes:
        name: name in the table.
        data: folder of the data sets' folder, or the name of a data set.
        at_least: target for the accuracy of vecformer's default, in per cent.
        train_file: the file of training examples.
        labels: number of labelled training examples, drawn evenly over the labels; 0 for all. With a number, the other
            training texts are unlabelled and the dev file of the data set is not used.
        test_share: share of the examples that is held out, for data without a test file.
    """

    name: str
    data: str
    at_least: float
    train_file: str = "train.tsv"
    labels: int = 0
    test_share: float | None = None

    @property
    def kind(self) -> str:
        """``full`` if the examples are the same for every seed, or ``few``."""
        return FEW if self.labels else FULL

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are measured for this row."""
        return tuple(column for column in COLUMNS if self.kind in column.kinds)

    @property
    def n_seeds(self) -> int:
        """The smallest number of seeds with which each comparison of the row can be significant."""
        return max(MIN_SEEDS, seeds_needed(self.n_comparisons))

    @property
    def n_comparisons(self) -> int:
        """Number of columns of the page that vecformer's default is compared with."""
        return len({column.group for column in self.columns}) - 1


@dataclass(frozen=True)
class Column:
    """A setting of vecformer, or a peer.

    Attributes:
        name: name in the results.
        title: heading in the table.
        options: options of ``vecformer run`` in addition to ``--data`` and ``--seed``; None for a peer.
        settings: settings of a peer.
        kinds: kinds of rows that are measured.
        is_deterministic: the seed changes nothing if the data are the same.
        best_of: columns with the same value are one column of the page, that of the higher mean.
        is_pretrained: starts from a language model that was trained on other text.
    """

    name: str
    title: str
    options: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = (FULL, FEW)
    is_deterministic: bool = False
    best_of: str = ""
    is_pretrained: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether the column is a setting of vecformer."""
        return self.options is not None

    @property
    def group(self) -> str:
        """Name of the column of the page."""
        return self.best_of or self.name

    def configuration(self) -> dict[str, Any]:
        """Return what decides the results besides code, data and seed."""
        chosen = asdict(self)
        return {key: chosen[key] for key in ("options", "settings")}


DEFAULT = "default"
LOGISTIC_REGRESSION = {"C": 10, "max_iter": 1000}
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
