"""``vecformer generate``: a language model writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity


@click.command("generate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("prompt", default="")
@click.option("--max-words", type=click.IntRange(1), metavar="N", help="Stop after N words; ends of lines count.")
@click.option("--temperature", type=click.FloatRange(0, 100), metavar="T",
              help="Above 1 wilder, below 1 tamer, 0 always the likeliest word.")
@click.option("--top-k", type=click.IntRange(0), metavar="K", help="Draw from the likeliest K words only; 0 for all.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P",
              help="Draw from the likeliest words that make up the probability P only.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
              help="Decides what is drawn.")
@click.option("-n", "--n", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
              help="Write N texts, a blank line between them.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a text: text, log_probability.")
@verbosity
@reports_errors
def generate_command(run: Path, prompt: str, seed: int, n: int, as_json: bool, quiet: bool, **options: Any) -> None:
    """Let the language model RUN continue PROMPT; without one it begins a new line.

    What is not given is as the run was configured.

    \b
    vecformer generate runs/stories "Once upon a time" --max-words 50 --temperature 0.8 --top-k 40 --top-p 0.95
    vecformer generate runs/stories --n 3 --seed 2
    """
    from dataclasses import replace

    from pipeline.commands.generate import generate
    from pipeline.data.readers.tables import well_formed
    from pipeline.errors import ConfigError
    from pipeline.runs.trained import load_run

    trained = load_run(run)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        config = replace(trained.config.generation, **given)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    texts = generate(trained, well_formed(prompt), n=n, config=config, seed=seed)
    lines = [json.dumps(text._asdict(), ensure_ascii=False) if as_json else text.text for text in texts]
    click.echo(("\n" if as_json else "\n\n").join(lines))
