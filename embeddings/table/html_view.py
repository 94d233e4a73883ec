"""HTML for notebooks: names and values, and the first rows of a table of vectors. All text is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from embeddings.table.listing import listed, shortened
from embeddings.table.paths import printable

if TYPE_CHECKING:
    from embeddings.table.table import EmbeddingTable

N_ROWS, N_COLUMNS = 10, 6  # of the vectors that are shown


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """Return a title and a list of names and values."""
    return f"<b>{_escaped(title)}</b>" + rows_html([[name, value] for name, value in facts.items()])


def rows_html(rows: Iterable[Sequence[object]], header: Sequence[object] = ()) -> str:
    """Return a table; the first cell of each row is aligned to the left."""
    lines = [_row(header, "th")] if header else []
    return f"<table>{''.join([*lines, *(_row(row, 'td') for row in rows)])}</table>"


def table_html(table: EmbeddingTable) -> str:
    """Return the source, the size and the provenance of a table, and its first words and numbers."""
    reasons = Counter(table.provenance)
    facts = {
        "words": f"{len(table):,}", "dimension": table.dim, "source": table.source,
        **({"transforms": ", ".join(table.transforms)} if table.transforms else {}),
        "provenance": listed(f"{reason} {count:,}" for reason, count in reasons.most_common()),
    }
    n_columns = min(N_COLUMNS, table.dim)
    header = ["word", "provenance", *range(n_columns), *(["…"] if table.dim > n_columns else [])]
    rows = ([word, reason, *(f"{number:.3f}" for number in vector), *(["…"] if table.dim > n_columns else [])]
            for word, reason, vector in zip(table.words[:N_ROWS], table.provenance[:N_ROWS],
                                            table.vectors[:N_ROWS, :n_columns], strict=True))
    return facts_html("EmbeddingTable", facts) + rows_html(rows, header)


def _row(cells: Sequence[object], tag: str) -> str:
    first, *rest = (_escaped(cell) for cell in cells)
    return (f'<tr><{tag} style="text-align:left">{first}</{tag}>'
            + "".join(f"<{tag}>{cell}</{tag}>" for cell in rest) + "</tr>")


def _escaped(value: object) -> str:
    return escape(printable(shortened(str(value), 300)))
