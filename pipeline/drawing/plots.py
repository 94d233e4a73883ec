"""Plots as SVG text, drawn by matplotlib without a display; their neutral colour follows the page's colour scheme."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.measures.classification import Bin

BLUE, ORANGE, INK = "#4c78a8", "#f58518", "#777777"  # legible in light and dark mode
MAX_LABELS = 30        # labels of a confusion matrix, and entity types of a figure: its size is bounded
MAX_LABEL_LENGTH = 40  # characters of a label in a figure


def learning_curves_svg(history: Sequence[Mapping[str, float]], measure: str) -> str:
    """Plot the losses, and the dev measure if available, over epochs."""
    epochs = [line["epoch"] for line in history]
    has_dev = f"dev_{measure}" in history[0]
    figure = new_figure(width=8 if has_dev else 4.6, height=2.9)
    panels = figure.subplots(1, 2 if has_dev else 1, squeeze=False)[0]
    panels[0].plot(epochs, [line["train_loss"] for line in history], color=BLUE, marker=".", label="training")
    if "dev_loss" in history[0]:
        panels[0].plot(epochs, [line["dev_loss"] for line in history], color=ORANGE, marker=".", label="dev")
    if has_dev:
        panels[1].plot(epochs, [line[f"dev_{measure}"] for line in history], color=ORANGE, marker=".")
        panels[1].set_title(f"{measure} on dev")
    panels[0].set_title("loss")
    panels[0].set_ylim(bottom=0)
    panels[0].legend(frameon=False, labelcolor=INK)
    for panel in panels:
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.25)
    return svg_of(figure)


def confusion_matrix_svg(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> str:
    """Plot a confusion matrix, true labels by predicted labels, shaded by row share.

    Of more than :data:`MAX_LABELS` labels, those with the most errors have a row and a column; the others are summed in
    the last one, "other". :func:`confusion_caption` describes this.
    """
    import numpy as np

    from embeddings.table.listing import shortened
    from pipeline.measures.classification import condensed_confusion_matrix, confusion_matrix

    if len(labels) > MAX_LABELS:
        chosen, counts = condensed_confusion_matrix(gold, predicted, labels, MAX_LABELS - 1)
        labels = [*chosen, "other"]
    else:
        counts = confusion_matrix(gold, predicted, labels)
    labels = [shortened(label, MAX_LABEL_LENGTH) for label in labels]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(2.8, 0.62 * len(labels) + 1.2)
    figure = new_figure(width=size + 1, height=size)
    panel = figure.subplots()
    panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        ink = "white" if shares[row, column] > 0.5 else "#333333"
        panel.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=9)
    panel.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    panel.set_yticks(range(len(labels)), labels)
    panel.set_xlabel("predicted")
    panel.set_ylabel("true")
    return svg_of(figure)


def confusion_caption(n_labels: int) -> str:
    """Return the title of a confusion matrix, which names the labels that have no row."""
    if n_labels <= MAX_LABELS:
        return "Confusion matrix"
    shown = MAX_LABELS - 1
    return (f"Confusion matrix: the {shown} of {n_labels:,} labels with the most errors; the other "
            f"{n_labels - shown:,} are summed in the row and column “other”")


def reliability_svg(curve: Sequence[Bin]) -> str:
    """Plot a reliability diagram: accuracy over confidence, with point sizes proportional to counts."""
    figure = new_figure(width=3.8, height=3.4)
    panel = figure.subplots()
    n = sum(one.n for one in curve)
    confidences, accuracies = [one.confidence for one in curve], [one.accuracy for one in curve]
    panel.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    panel.plot(confidences, accuracies, color=BLUE)
    panel.scatter(confidences, accuracies, s=[20 + 200 * one.n / n for one in curve], color=BLUE)
    panel.set_xlim(0, 1.02)
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("probability of the predicted label")
    panel.set_ylabel("accuracy")
    panel.grid(alpha=0.25)
    return svg_of(figure)


def bars_svg(values: Mapping[str, float], *, highlighted: Sequence[str], label: str, is_share: bool = True) -> str:
    """Plot horizontal bars, highlighted names in another colour; shares (0 to 1) are printed as percentages."""
    figure = new_figure(width=7.5, height=0.42 * len(values) + 0.9)
    panel = figure.subplots()
    names = list(values)[::-1]
    colours = [ORANGE if name in highlighted else BLUE for name in names]
    bars = panel.barh(names, [values[name] for name in names], color=colours, height=0.62)
    panel.bar_label(bars, fmt=lambda value: f"{value:.1%}" if is_share else f"{value:,.1f}", padding=4, color=INK)
    if is_share:
        panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
    panel.set_xlim(0, 1.12 if is_share else 1.12 * max(1e-9, *values.values()))
    panel.set_xlabel(label)
    panel.grid(alpha=0.25, axis="x")
    panel.set_axisbelow(True)
    return svg_of(figure)


def new_figure(*, width: float, height: float) -> Figure:
    """Create an empty figure in the project's style, with mathematical markup disabled.

    Args:
        width: in inches.
        height: in inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "vecformer", "font.family": "sans-serif", "text.color": INK,
        "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11, "text.parse_math": False,
    })
    return Figure(figsize=(width, height), layout="constrained")


def svg_of(figure: Figure) -> str:
    """Return a figure as a deterministic ``<svg>`` element with a transparent background."""
    target = io.StringIO()
    _save(figure, target, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = target.getvalue()
    return text[text.index("<svg"):]


def png_of(figure: Figure) -> bytes:
    """Return a figure as a PNG on white at 200 dpi."""
    target = io.BytesIO()
    _save(figure, target, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return target.getvalue()


def _save(figure: Figure, target: io.StringIO | io.BytesIO, **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the viewer substitutes a font
        figure.savefig(target, **options)
