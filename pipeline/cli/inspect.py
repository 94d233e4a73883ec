"""``vecformer inspect``: inspect a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import echo, echo_blocks, reports_errors, table
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from pipeline.commands.inspect import Inspection, Matrix
    from transformer.inspect.census import Entry


@click.command("inspect")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--head", metavar="L.H", help="Show W_Q, W_K, W_V and W_O of one head and its QK and OV circuits; layers "
              "and heads count from 0. For translation: encoder.L.H, decoder.L.H or cross.L.H.")
@click.option("--words", type=click.IntRange(min=0), default=10, show_default=True, metavar="N",
              help="List the N words whose vectors moved most.")
@click.option("--text", metavar="TEXT", help="Show queries, keys, values and attention of every head for this text, "
              "as JSON.")
@click.option("--context", default="", metavar="TEXT", help="Second text: the context of a question, or the second "
              "text of a pair.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="With --text: write an HTML page "
              "instead, in one file that opens offline.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@verify_option
@reports_errors
def inspect_command(
    run: Path, head: str | None, words: int, text: str | None, context: str, html: Path | None, overwrite: bool,
    as_json: bool, verify: bool,
) -> None:
    """Inspect RUN: parameters and how far training moved them, matrices of a head, attention for a text.

    \b
    vecformer inspect runs/news
    vecformer inspect runs/news --head 0.3
    vecformer inspect runs/news --text "Shares rose after the cut." --html attention.html
    """
    from pipeline.commands.inspect import head_matrices, open_run, open_text
    from pipeline.commands.pages.attention import write_attention
    from pipeline.commands.vectors import check_free_file
    from pipeline.data.readers.tables import well_formed
    from pipeline.errors import PipelineError

    if html and text is None:
        raise PipelineError("--html shows the attention for a text; add --text TEXT")
    if context and text is None:
        raise PipelineError("--context needs a text; add --text TEXT")
    if html:
        check_free_file(html, overwrite=overwrite)
    opened = open_run(run, unseen=text is not None, verify=verify)
    result: dict[str, Any] = {}
    shown = []
    if head:
        matrices = head_matrices(opened.trained.model, head)
        result["head"] = {"name": head, **{name: matrix._asdict() for name, matrix in matrices.items()}}
        shown.append(_head(head, matrices))
    if text is not None:
        read = open_text(opened.trained, well_formed(text), well_formed(context))
        result |= read.to_json()
        if html:
            write_attention(html, opened, read, name=run.name, n_words=words)
            shown.append(f"wrote {html}")
    if not result:
        result = opened.to_json(words)
        shown += [_census(opened), _words(opened, words)]
    if as_json or (text is not None and not html):
        echo(to_json(result))
    else:
        echo_blocks("\n\n".join(shown))


def _census(opened: Inspection) -> str:
    from transformer.inspect.census import by_kind, together

    rows = []
    for kind in by_kind(opened.census):
        rows.append(_line(kind.kind, kind))
        rows += [_line(f"  {entry.name}", entry) for entry in opened.census
                 if (entry.kind, entry.state) == (kind.kind, kind.state)]
    rows.append(_line("all", together(opened.census, kind="all")))
    header = ["parameters", "shape", "count", "share", "state", "initial norm", "norm", "distance", "relative"]
    return table(header, rows)


def _line(name: str, entry: Entry) -> list[str]:
    shape = " x ".join(map(str, entry.shape))
    if not entry.count:
        return [name, shape, "", "", entry.state, "", "", "", ""]
    of_start = f"{entry.moved_share:.1%}" if entry.moved_share is not None else ""
    return [name, shape, f"{entry.count:,}", f"{entry.share:.1%}", entry.state, f"{entry.norm_start:.3f}",
            f"{entry.norm:.3f}", f"{entry.moved:.3f}", of_start]


def _words(opened: Inspection, n: int) -> str:
    parts = []
    for side, moved in opened.moved(n).items():
        parts.append(f"{moved.n_moved:,} of {moved.n_words:,} {side} moved; mean distance to the initial vectors: "
                     f"{moved.distance:.3f}, mean cosine similarity: {moved.cosine:.4f}")
        if moved.most:
            rows = [[word.word, f"{word.cosine:.4f}", f"{word.distance:.3f}"] for word in moved.most]
            parts.append(table(["moved most", "cosine", "distance"], rows))
    return "\n\n".join(parts)


def _head(name: str, matrices: Mapping[str, Matrix]) -> str:
    summary = [[one, " x ".join(map(str, matrix.shape)), f"{matrix.norm:.3f}", f"{matrix.effective_rank:.1f}"]
               for one, matrix in matrices.items()]
    columns = zip(*(matrix.spectrum for matrix in matrices.values()), strict=True)
    spectra = [[str(number), *(f"{value:.4f}" for value in values)] for number, values in enumerate(columns, start=1)]
    return "\n\n".join([table([f"head {name}", "shape", "norm", "effective rank"], summary),
                        table(["singular values", *matrices], spectra)])
