"""The HTML page of the attention for a text: one file that opens offline."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from pipeline.commands.inspect import Block, InspectedText, Inspection, matrices_of
from pipeline.drawing.page import render, write_whole
from transformer.inspect.attention_record import blocks
from transformer.inspect.census import by_kind, together
from transformer.models.head_weights import Attentions

MAX_WORDS = 64     # tokens of a text that are shown
MAX_COLUMNS = 256  # columns of a weight matrix that are shown; of wider matrices every second, third, …
STEPS = 2**16 - 1


def write_attention(path: Path, opened: Inspection, read: InspectedText, *, name: str, n_words: int) -> None:
    """Write the page.

    Args:
        path: the file to write.
        opened: the run, of which the page lists parameters and the words that moved most.
        read: the text, of which the first 64 tokens are shown.
        name: name of the run.
        n_words: number of words to list.
    """
    model = opened.trained.model
    kinds = [(kind, [entry for entry in opened.census if (entry.kind, entry.state) == (kind.kind, kind.state)])
             for kind in by_kind(opened.census)]
    longest = max(len(words) for block in read.blocks for words in (block.words, block.seen))
    page = render(
        Path(__file__).with_name("attention.html"), title=f"Attention of {name}", read=read, kinds=kinds,
        all=together(opened.census, kind="all"), moved=opened.moved(n_words), longest=longest, max_words=MAX_WORDS,
        stride=_stride(opened.trained.config.model.d_model),
        data={"blocks": [_block(block, model) for block in read.blocks]},
    )
    write_whole(path, page.encode())


def _block(block: Block, model: nn.Module) -> dict[str, Any]:
    layers = []
    for layer, attention in zip(block.layers, blocks(model)[block.name].attentions(), strict=True):
        weights = Attentions([attention])
        inward = {"W_Q": weights.W_Q, "W_K": weights.W_K, "W_V": weights.W_V}
        layers.append([
            {
                "attention": packed(layer.pattern[0, head, :MAX_WORDS, :MAX_WORDS]),
                **{part: packed(getattr(layer, part)[0, head, :MAX_WORDS]) for part in ("query", "key", "value")},
                "weights": {name: packed(_thinned(stacked[0, head].T)) for name, stacked in inward.items()}
                | {"W_O": packed(_thinned(weights.W_O[0, head]))},
                "matrices": {name: matrix._asdict() for name, matrix in matrices_of(attention, head).items()},
            }
            for head in range(attention.n_heads)
        ])
    return {"name": block.name, "words": block.words[:MAX_WORDS], "seen": block.seen[:MAX_WORDS], "layers": layers}


def packed(matrix: Tensor) -> dict[str, Any]:
    """Encode a matrix as 16-bit steps between its minimum and maximum, in base64: a third of its size as JSON."""
    values = matrix.detach().double().numpy()
    low, high = float(values.min()), float(values.max())
    steps = np.rint((values - low) / ((high - low) or 1.0) * STEPS).astype("<u2")
    return {"rows": values.shape[0], "columns": values.shape[1], "low": low, "high": high,
            "steps": base64.b64encode(steps.tobytes()).decode()}


def _thinned(matrix: Tensor) -> Tensor:
    return matrix[:, :: _stride(matrix.shape[1])]


def _stride(n_columns: int) -> int:
    return -(-n_columns // MAX_COLUMNS)
