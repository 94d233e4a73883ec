"""``vecformer config``: a configuration file to start from."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors


@click.command("config")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@reports_errors
def config_command(file: Path | None, overwrite: bool) -> None:
    """Write every key of the configuration with its default and its meaning, to FILE or to standard output.

    \b
    vecformer config config.toml
    vecformer run config.toml --data reviews.tsv
    """
    from pipeline.config import commented_toml
    from pipeline.errors import ConfigError

    if file is None:
        click.echo(commented_toml(), nl=False)
        return
    if file.exists() and not overwrite:
        raise ConfigError(f"{file}: exists already; choose another name, or replace it with --overwrite")
    file.write_text(commented_toml(), encoding="utf-8")
    click.echo(f"wrote {file}; run it with: vecformer run {file}")
