"""Rendering of a word map: an interactive HTML page, and a PNG image."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embeddings.analysis.neighbors import Neighbor
from pipeline.drawing.page import render, write_whole
from pipeline.drawing.plots import BLUE, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

METHODS = {"tsne": "t-SNE", "pca": "PCA"}
SIZE, DPI = (11.0, 8.5), 150  # inches
FONT_SIZE = 8
GAP, PAD = 6.0, 3.0  # pixels between a point and its label, and between labels


@dataclass(frozen=True, eq=False)
class WordMap:
    """Words with two-dimensional coordinates.

    Attributes:
        source: source of the vectors.
        method: ``tsne`` or ``pca``.
        words: the most important first; labels are placed in this order.
        points: coordinates, -1 to 1, float32. *Shape:* ``(n_words, 2)``.
        neighbors: nearest neighbours of each word, which need not be on the map.
    """

    source: str
    method: str
    words: tuple[str, ...]
    points: NDArray[np.float32]
    neighbors: tuple[tuple[Neighbor, ...], ...]

    @property
    def title(self) -> str:
        """Title of the map."""
        return f"{len(self.words):,} words of {self.source}, by {METHODS[self.method]}"


def write_html(path: Path, word_map: WordMap) -> None:
    """Write a self-contained HTML page with hover, zoom, drag and search."""
    data = {
        "words": word_map.words,
        "points": [[round(float(x), 4), round(float(y), 4)] for x, y in word_map.points],
        "neighbors": [[[one.word, round(one.similarity, 3)] for one in near] for near in word_map.neighbors],
    }
    template = Path(__file__).with_name("map.html")
    write_whole(path, render(template, title=word_map.title, method=word_map.method, data=data).encode())


def write_png(path: Path, word_map: WordMap) -> None:
    """Draw all points, and a label at each point with enough space."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import IdentityTransform

    figure = Figure(figsize=SIZE, dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    panel = figure.add_axes((0.02, 0.02, 0.96, 0.93), xticks=[], yticks=[])
    panel.set_title(word_map.title, color=INK, fontsize=11, parse_math=False)
    panel.scatter(word_map.points[:, 0], word_map.points[:, 1], s=9, color=BLUE, alpha=0.75, linewidths=0)
    panel.margins(0.06)
    panel.autoscale_view()
    panel.spines[:].set_edgecolor("#d9dee4")
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box
        for word, x, y in _placed_labels(word_map.words, panel, canvas):
            panel.text(x, y, word, transform=IdentityTransform(), fontsize=FONT_SIZE, color="#1d2530", parse_math=False)
        figure.savefig(target, format="png", metadata={"Software": None})
    write_whole(path, target.getvalue())


def _placed_labels(words: Sequence[str], panel: Axes, canvas: FigureCanvasAgg) -> Iterator[tuple[str, float, float]]:
    """Yield the labels that fit, each with the left end of its baseline in pixels.

    A label is placed right of its point, left, above or below: the first position without another label or point.
    """
    from matplotlib.font_manager import FontProperties

    points = panel.transData.transform(panel.collections[0].get_offsets())                  # (n_words, 2)
    font, renderer, frame = FontProperties(size=FONT_SIZE), canvas.get_renderer(), panel.bbox  # type: ignore[no-untyped-call]
    taken = np.empty((0, 4))                                                                # left, bottom, right, top
    for word, (x, y) in zip(words, points, strict=True):
        width, height, descent = renderer.get_text_width_height_descent(word, font, ismath=False)
        for left, bottom in ((x + GAP, y - height / 2), (x - GAP - width, y - height / 2),
                             (x - width / 2, y + GAP), (x - width / 2, y - GAP - height)):
            right, top = left + width, bottom + height
            inside = frame.x0 <= left and right <= frame.x1 and frame.y0 <= bottom and top <= frame.y1
            overlaps = (taken[:, 0] < right) & (left < taken[:, 2]) & (taken[:, 1] < top) & (bottom < taken[:, 3])
            covers = (points[:, 0] > left) & (points[:, 0] < right) & (points[:, 1] > bottom) & (points[:, 1] < top)
            if inside and not overlaps.any() and not covers.any():
                taken = np.vstack([taken, (left - PAD, bottom, right + PAD, top)])
                yield word, left, bottom + descent
                break
