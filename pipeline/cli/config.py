"""``vecformer config``: write a configuration file."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import echo, reports_errors


@click.command("config")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--task", default="", metavar="NAME", help="Only the keys that this task reads. Default: all keys.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@reports_errors
def config_command(file: Path | None, task: str, overwrite: bool) -> None:
    """Write all configuration keys with their defaults and help, to FILE or to standard output.

    \b
    vecformer config config.toml
    vecformer config --task translation
    vecformer run config.toml --data reviews.tsv
    """
    from embeddings.table.paths import written
    from pipeline.commands.config import default_configuration, write_configuration

    if file is None:
        echo(default_configuration(task), nl=False)
    else:
        write_configuration(file, task=task, overwrite=overwrite)
        echo(f"wrote {file}; use it with: vecformer run {written(file)}")
