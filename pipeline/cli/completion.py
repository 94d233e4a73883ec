"""``vecformer completion``: completion of commands in a shell."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.common import echo, reports_errors


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--install", is_flag=True, help="Write the script to the folder from which the shell loads completions.")
@click.option("--overwrite", is_flag=True, help="With --install: replace the file if it exists with other content.")
@reports_errors
def completion_command(shell: str, install: bool, overwrite: bool) -> None:
    """Print or install the completion script of SHELL for commands, options, runs and sources.

    \b
    vecformer completion bash --install
    vecformer completion fish --install
    source <(vecformer completion zsh)
    """
    from pipeline.commands.completion import install_script, script

    if overwrite and not install:
        raise click.UsageError("--overwrite replaces the file of --install; add --install")
    if install:
        installed = install_script(shell, overwrite=overwrite)
        echo(f"wrote {installed.path}; {installed.advice}")
    else:
        echo(script(shell), nl=False)
