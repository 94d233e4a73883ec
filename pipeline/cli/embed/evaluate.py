"""``vecformer embed evaluate``: intrinsic evaluation by word similarity and analogies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors, table, verbosity
from pipeline.cli.embed.options import json_option, load_options, vectors_argument
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from embeddings.analysis.intrinsic import AnalogyScore, IntrinsicScores
    from pipeline.commands.vectors import LoadOptions


@click.command("evaluate")
@vectors_argument
@click.option("--similarity", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
              help="File with lines 'word1 word2 score', or a folder of them. May be repeated.")
@click.option("--analogies", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
              help="File of analogy questions, in the format of questions-words.txt, or a folder. May be repeated.")
@click.option("--first", "n_words", type=click.IntRange(min=1), default=300_000, show_default=True, metavar="N",
              help="Number of most frequent words to evaluate.")
@click.option("--sections", is_flag=True, help="Show the scores of each section of the analogies.")
@json_option
@verbosity
@reports_errors
@load_options
def evaluate_command(
    vectors: str, similarity: tuple[Path, ...], analogies: tuple[Path, ...], n_words: int, sections: bool,
    as_json: bool, options: LoadOptions, quiet: bool,
) -> None:
    """Evaluate VECTORS on word similarity (Spearman's rank correlation) and analogies (3CosAdd).

    Without files: WordSim-353, SimLex-999 and Google's analogies, which are part of gensim.

    \b
    vecformer embed evaluate glove
    vecformer embed evaluate runs/reviews --similarity sets/ --analogies questions-words.txt --sections
    """
    from embeddings.analysis.intrinsic import evaluate_files
    from pipeline.commands.vectors import open_vectors
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        loaded = open_vectors(vectors, options, progress=progress)
        scores = evaluate_files(loaded, similarity, analogies, n_words=n_words, progress=progress)
    echo(to_json(as_values(scores)) if as_json else as_text(scores, sections=sections))


def as_values(scores: IntrinsicScores) -> dict[str, Any]:
    """Return JSON-serialisable scores; a score that could not be computed is None."""
    from embeddings.analysis.intrinsic import total

    return {
        "similarity": [
            {"set": name, "pairs": score.n_pairs, "found": score.n_found, "spearman": score.spearman}
            for name, score in scores.similarity.items()
        ],
        "analogies": [
            {"set": name, **_analogy_values(total(by_section.values())),
             "sections": [{"section": section, **_analogy_values(score)} for section, score in by_section.items()]}
            for name, by_section in scores.analogies.items()
        ],
    }


def as_text(scores: IntrinsicScores, *, sections: bool) -> str:
    """Return one table for each kind of score."""
    from embeddings.analysis.intrinsic import total

    parts = []
    if scores.similarity:
        parts.append(table(["word similarity", "pairs", "found", "Spearman"], [
            [name, f"{score.n_pairs:,}", f"{score.found:.1%}", _shown(score.spearman)]
            for name, score in scores.similarity.items()
        ]))
    if scores.analogies:
        rows = []
        for name, by_section in scores.analogies.items():
            rows.append(_analogy_row(name, total(by_section.values())))
            if sections:
                rows += [_analogy_row(f"  {section}", score) for section, score in by_section.items()]
        parts.append(table(["analogies", "questions", "found", "accuracy"], rows))
    return "\n\n".join(parts)


def _analogy_values(score: AnalogyScore) -> dict[str, Any]:
    return {"questions": score.n_questions, "found": score.n_found, "correct": score.n_correct,
            "accuracy": score.accuracy}


def _analogy_row(name: str, score: AnalogyScore) -> list[str]:
    return [name, f"{score.n_questions:,}", f"{score.found:.1%}", _shown(score.accuracy)]


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
