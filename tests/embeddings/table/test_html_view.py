"""The view of a table in a notebook."""

from html.parser import HTMLParser

import numpy as np

from embeddings.table import EmbeddingTable
from embeddings.table.html_view import facts_html


class Cells(HTMLParser):
    """The text of each cell, and the names of all elements."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.tags, self.is_inside = [], set(), False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.is_inside = tag in ("td", "th")
        if self.is_inside:
            self.cells.append("")

    def handle_data(self, data):
        if self.is_inside:
            self.cells[-1] += data


def table(words, dim=3):
    return EmbeddingTable.known(words, np.arange(len(words) * dim, dtype=np.float32).reshape(-1, dim), "<b>file:x</b>")


def test_the_size_the_source_and_the_first_words_are_shown():
    shown = Cells(table([f"word{i}" for i in range(2000)], dim=8)._repr_html_())
    assert shown.tags == {"b", "table", "tr", "td", "th"}
    assert shown.cells[:8] == ["words", "2,000", "dimension", "8", "source", "<b>file:x</b>", "provenance",
                                "exact 2,000"]
    assert [cell for cell in shown.cells if cell.startswith("word")][1:] == ["word", *(f"word{i}" for i in range(10))]
    assert "5.000" in shown.cells and "6.000" not in shown.cells  # six numbers of each word


def test_words_are_not_markup():
    words = ["<script>alert(1)</script>", "&amp;", "\"onload=x", "\x1b[31m"]
    shown = Cells(table(words)._repr_html_())
    assert "script" not in shown.tags
    assert set(words) <= set(shown.cells)


def test_repr_is_one_short_line():
    assert repr(table(["a"] + [f"b{i}" for i in range(100_000)])) == (
        "EmbeddingTable(100001 words, dim=3, source='<b>file:x</b>')")


def test_long_values_are_shortened():
    assert len(facts_html("x", {"labels": "y" * 10_000})) < 1000


def test_an_empty_table():
    assert Cells(table([])._repr_html_()).cells[:2] == ["words", "0"]
