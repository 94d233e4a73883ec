"""``vecformer sources``: which word vectors there are."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.common import reports_errors


@click.command("sources")
@reports_errors
def sources_command() -> None:
    """List the sources of word vectors, with their options and defaults.

    \b
    vecformer run --data reviews.tsv --source glove:vectors.txt,limit=100000
    vecformer run --data reviews.tsv --source glove+word2vec,dim=200,epochs=20
    """
    from embeddings.sources import registry

    for name, cls in registry.available().items():
        click.echo(f"{name}\n  {registry.describe()[name].replace('``', '`')}")
        for option, default in registry.options(cls).items():
            if option == "path":
                click.echo(f"    {name}:PATH")
            else:
                click.echo(f"    {option}={'N (not set by default)' if default is None else default}")
    click.echo("A+B\n  Concatenates sources after bringing them to one scale.")
