"""Predictions on a terminal: labels in colour, entities in their text, and answers in their context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.drawing.terminal import Piece, cell, label_style

MAX_CONTEXT = 300  # characters before and after an answer
MAX_PADDING = 30   # characters to which a column is filled up
WARNING = "warning: "


def prediction_lines(lines: Sequence[str], predictions: Sequence[Mapping[str, Any]], examples: Sequence[Any]
                     ) -> list[list[Piece]]:
    """Return one line of pieces for each prediction; answers have a second line with their context.

    Args:
        lines: the lines of the predictions, in columns separated by tabs.
        predictions: the predictions.
        examples: the examples that they are for.
    """
    columns = [line.split("\t") for line in lines]
    n = min((len(cells) for cells in columns), default=0)
    widths = [min(MAX_PADDING, max(len(cells[i]) for cells in columns)) for i in range(max(0, n - 1))]
    made = []
    for cells, prediction, example in zip(columns, predictions, examples, strict=True):
        warning = cells.pop() if len(cells) > 1 and cells[-1].startswith(WARNING) else ""
        if "entities" in prediction:
            pieces = _entities(prediction, example)
        else:
            pieces = [(cells[0].ljust(widths[0]) if widths and len(cells) > 1 else cells[0],
                       label_style(cells[0]) if "answer" not in prediction else "header")]
            for i, text in enumerate(cells[1:], start=1):
                pieces.append(("  " + (text.ljust(widths[i]) if i < min(len(widths), len(cells) - 1) else text), ""))
        if warning:
            pieces.append((f"  {warning}", "warning"))
        if isinstance(prediction.get("start"), int) and "answer" in prediction:
            pieces += _in_context(example.context, prediction["start"], prediction["end"])
        made.append(pieces)
    return made


def _entities(prediction: Mapping[str, Any], example: Any) -> list[Piece]:
    """Return the text with its entities in colour, each followed by its type."""
    text = example.text if hasattr(example, "text") else " ".join(example.words)
    pieces: list[Piece] = []
    at = 0
    for entity in prediction["entities"]:
        if entity["start"] < at:
            continue
        pieces += [(cell(text[at : entity["start"]]), ""), (cell(entity["text"]), label_style(entity["type"])),
                   (f"/{cell(entity['type'])}", "faint")]
        at = entity["end"]
    return [*pieces, (cell(text[at:]), "")]


def _in_context(context: str, start: int, end: int) -> list[Piece]:
    first, last = max(0, start - MAX_CONTEXT), min(len(context), end + MAX_CONTEXT)
    before = "…" * (first > 0) + context[first:start]
    after = context[end:last] + "…" * (last < len(context))
    return [("\n    ", ""), (cell(before), "faint"), (cell(context[start:end]), "answer"), (cell(after), "faint")]
