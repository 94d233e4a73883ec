"""``vecformer sources``: which word vectors there are."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.common import reports_errors


@click.command("sources")
@reports_errors
def sources_command() -> None:
    """List the sources of word vectors and the transforms, with their options and defaults.

    \b
    vecformer run --data reviews.tsv --source glove:vectors.txt,limit=100000
    vecformer run --data reviews.tsv --source glove+word2vec,dim=200,epochs=20
    """
    from embeddings.specification.grammar import options
    from embeddings.specification.sources import SOURCES
    from embeddings.specification.transforms import TRANSFORMS

    click.echo("Sources, for --source:\n")
    for name, cls in SOURCES.available.items():
        click.echo(described(name, cls, positional="path"))
    click.echo("  A+B\n    Concatenates sources after bringing them to one scale.\n")
    click.echo("Transforms, for --transform:\n")
    for name, cls in TRANSFORMS.available.items():
        click.echo(described(name, cls, positional=next(iter(options(cls)), "")))


def described(name: str, cls: type, *, positional: str) -> str:
    """A name, the first line of what it says of itself, and its options with their defaults.

    Args:
        name: of a source or transform.
        cls: its dataclass.
        positional: the option that is written behind a colon.
    """
    from embeddings.specification.grammar import options

    summary = (cls.__doc__ or "").strip().splitlines()[0].replace("``", "`")
    lines = [f"  {name}", f"    {summary}"]
    for option, default in options(cls).items():
        value = "" if default is None else f"   (by default {default})" if option == positional else f"={default}"
        form = {"parts": f"{name}(A,B)", positional: f"{name}:{option.upper()}"}.get(option, option)
        lines.append(f"      {form}{value or ('' if form != option else '=...')}")
    return "\n".join(lines)
