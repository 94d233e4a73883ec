"""Usual names of the columns of texts, pairs of texts and labels."""

from __future__ import annotations

TEXT_COLUMNS = ("text", "sentence", "review", "content", "body", "question", "document", "article", "tweet", "title")
PAIR_COLUMNS = {
    "text_a": "text_b",
    "sentence1": "sentence2",
    "premise": "hypothesis",
    "question1": "question2",
    "sentence_a": "sentence_b",
}
LABEL_COLUMNS = ("label", "labels", "class", "category", "topic", "target", "sentiment", "tag")
USUAL_NAMES = frozenset({*TEXT_COLUMNS, *PAIR_COLUMNS, *PAIR_COLUMNS.values(), *LABEL_COLUMNS, "source", "src", "tgt"})
