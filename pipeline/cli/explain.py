"""``vecformer explain``: explain the prediction for a text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, echo_blocks, echo_pieces, reports_errors, table
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import Piece, cell, output_is_in_colour, to_json

if TYPE_CHECKING:
    from pipeline.explanation.explanation import Explanation

BAR = 20  # characters of the longest bar
MAX_PREDICTION = 200
FAINT, STRONG = 0.1, 0.5  # shares of the largest contribution from which a word is coloured, and highlighted
TAB = "\t"


@click.command("explain")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--context", default="", metavar="TEXT", help="Second text: the context of a question, or the second "
              "text of a pair.")
@click.option("--label", metavar="LABEL", help="Explain this label instead of the predicted one. For question "
              "answering: start or end of the answer.")
@click.option("--word", metavar="WORD", help="For tagging: the word whose tag is explained, or its number from 0. "
              "Default: the first word with a tag other than O.")
@click.option("--steps", type=click.IntRange(min=1, max=16_384), metavar="N", help="Steps of the integrated gradients. "
              "Default: doubled from 32 to at most 1,024, until the sum is within 1%.")
@click.option("--train-data", type=click.Path(path_type=Path), metavar="PATH", help="Take the nearest training "
              "examples from this file or folder. Default: the data of the run, if they are unchanged.")
@click.option("--examples", type=click.IntRange(min=0, max=1000), default=5, show_default=True, metavar="N",
              help="Number of nearest training examples.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page as well, in one file "
              "that opens offline.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables, with the attention of every head.")
@verify_option
@reports_errors
def explain_command(
    run: Path, text: str, context: str, label: str | None, word: str | None, steps: int | None,
    train_data: Path | None, examples: int, html: Path | None, overwrite: bool, as_json: bool, verify: bool,
) -> None:
    """Explain why RUN predicts a label for TEXT.

    Prints the contribution of each word and n-gram to the log-odds of the label, the provenance of each word vector,
    the change if a word is dropped or replaced, and the nearest training examples.

    \b
    vecformer explain runs/news "Shares rose after the cut."
    vecformer explain runs/news "Shares rose after the cut." --label sport --html why.html
    vecformer explain runs/names "Anna lives in Paris." --word Paris
    vecformer explain runs/questions "Where is the tower?" --context "The tower is in Paris." --json
    """
    from pipeline.commands.explain import explain_run
    from pipeline.commands.pages.explanation import write_explanation
    from pipeline.commands.vectors import check_free_file

    if html:
        check_free_file(html, overwrite=overwrite)
    found = explain_run(run, text, context=context, label=label, steps=steps, word=word, train_data=train_data,
                        examples=examples, verify=verify)
    if html:
        write_explanation(html, found, name=run.name)
    if as_json:
        echo(to_json(found.to_json()))
        return
    if output_is_in_colour():
        for name, written in (("text", found.text), ("context", found.context)):
            if written:
                echo_pieces([*_coloured(found, name, written), ("\n", "")])
    parts = [_summary(found), _words(found), _ngrams(found), _changes(found), _neighbours(found)]
    echo_blocks("\n\n".join([*filter(None, parts), *([f"wrote {html}"] if html else [])]))


def _coloured(found: Explanation, part: str, text: str) -> Iterator[Piece]:
    """Yield the pieces of a text: words in favour of the label in green, words against it in red."""
    largest = max((abs(token.total) for token in found.tokens), default=0.0)
    end = 0
    for token in sorted((one for one in found.tokens if one.part == part), key=lambda one: one.start):
        yield cell(text[end:token.start]), ""
        size = abs(token.total) / largest if largest else 0.0
        style = ("for" if token.total > 0 else "against") if size >= FAINT else ""
        yield cell(text[token.start:token.end]), f"strongly {style}" if size >= STRONG else style
        end = token.end
    yield cell(text[end:]), ""


def _summary(found: Explanation) -> str:
    from embeddings.table.listing import shortened

    whole, of_word = found.completeness, f" of {cell(found.word)!r}" if found.word else ""
    explained = f"value {found.value:.4f}" if found.probability is None else (
        f"{cell(found.label)}{of_word}, probability {found.probability:.4f}")
    lines = [
        f"prediction     {cell(shortened(found.prediction.replace(TAB, '  '), MAX_PREDICTION))}",
        f"explained      {explained}",
        f"{found.unit:<14} {whole.score:+.4f}; without known words and n-grams {whole.baseline_score:+.4f}; difference "
        f"{whole.difference:+.4f}",
        f"contributions  sum {whole.sum:+.4f}, {whole.relative_error:.2%} from the difference ({whole.steps:,} steps)",
    ]
    if found.ngrams:
        lines.append(f"n-gram branch  {found.ngrams.sum:+.4f}, {found.ngrams.share:.1%} of the absolute contributions")
    return "\n".join([*lines, *(f"note           {note}" for note in found.notes)])


def _words(found: Explanation) -> str:
    largest = max((abs(token.total) for token in found.tokens), default=0.0) or 1.0
    header = ["word", "contribution", *(["n-grams", "total"] if found.ngrams else []), "", "vector"]
    rows = []
    for token in found.tokens:
        bar = ("+" if token.total > 0 else "-") * round(BAR * abs(token.total) / largest)
        both = [f"{token.from_ngrams:+.4f}", f"{token.total:+.4f}"] if found.ngrams else []
        rows.append([token.token, f"{token.contribution:+.4f}", *both, bar.ljust(BAR),
                     token.source if token.in_training else f"{token.source}, not in training"])
    return table(header, rows)


def _ngrams(found: Explanation) -> str:
    if not found.ngrams or not found.ngrams.contributions:
        return ""
    rows = [[repr(one.ngram), one.family, f"{one.contribution:+.4f}"] for one in found.ngrams.contributions[:10]]
    return table(["n-gram", "of", "contribution"], rows)


def _changes(found: Explanation) -> str:
    if not found.without_word:
        return ""
    what = "value" if found.probability is None else "probability"
    rows = [[one.token, f"{one.probability_change:+.4f}", one.label, one.replaced_by or "",
             "" if one.replaced_change is None else f"{one.replaced_change:+.4f}"] for one in found.without_word]
    return table(["without the word", f"change of {what}", "prediction", "replaced by", f"change of {what}"], rows)


def _neighbours(found: Explanation) -> str:
    if not found.neighbours:
        return found.neighbours_note
    rows = [["\t".join(filter(None, [one.text, one.context])), one.label, f"{one.similarity:.3f}"]
            for one in found.neighbours]
    return f"{table(['nearest training examples', 'label', 'similarity'], rows)}\n({found.neighbours_note})"
