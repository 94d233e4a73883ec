"""``vecformer generate``: generate text with a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.streams import require_output
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import to_json


@click.command("generate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("prompt", default="")
@click.option("--max-tokens", "--max-words", type=click.IntRange(1, 1_000_000), metavar="N",
              help="Maximum number of generated tokens; ends of lines count.")
@click.option("--temperature", type=click.FloatRange(0, 100), metavar="T",
              help="Sampling temperature; 0 is greedy decoding.")
@click.option("--top-k", type=click.IntRange(0), metavar="K",
              help="Sample from the K most probable tokens; 0 for all.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P",
              help="Sample from the most probable tokens with total probability P.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
              help="Seed of the sampling.")
@click.option("-n", "--n", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
              help="Number of texts, separated by blank lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text: text, log_probability.")
@verify_option
@verbosity
@reports_errors
def generate_command(
    run: Path, prompt: str, seed: int, n: int, as_json: bool, verify: bool, quiet: bool, **options: Any
) -> None:
    """Continue PROMPT with the language model RUN; without a prompt, start a new line.

    The first text is printed word by word as it is generated.

    Options that are not given have the values of the run's configuration.

    \b
    vecformer generate runs/stories "Once upon a time" --max-tokens 50 --temperature 0.8 --top-k 40 --top-p 0.95
    vecformer generate runs/stories --n 3 --seed 2
    """
    from pipeline.commands.generate import generate, generation_config
    from pipeline.data.readers.tables import well_formed
    from pipeline.runs.trained import load_run

    require_output()
    trained = load_run(run, verify=verify)
    texts = generate(trained, well_formed(prompt), n=n, config=generation_config(trained, options), seed=seed,
                     on_text=None if as_json else _show)
    if as_json:
        echo("\n".join(to_json(text._asdict()) for text in texts))
    else:
        echo("".join(f"\n\n{text.text}" for text in texts[1:]))


def _show(part: str) -> None:
    """Print a part of a text at once."""
    echo(part, nl=False)
