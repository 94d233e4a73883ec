"""``vecformer sources``: sources of word vectors, transforms and file formats."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import rich_click as click

from pipeline.cli.common import echo, reports_errors

WIDTH, INDENT = 118, 22  # columns of a line, and of an option before its description


@click.command("sources")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@reports_errors
def sources_command(names: tuple[str, ...]) -> None:
    """List sources of word vectors, transforms and vector file formats, with their options.

    With NAME only these sources and transforms are listed.

    \b
    vecformer sources
    vecformer sources word2vec pca
    vecformer run --data reviews.tsv --source glove:vectors.txt,limit=100000
    vecformer run --data reviews.tsv --source glove+word2vec,dim=200,epochs=20 --transform unit
    """
    from embeddings.errors import SpecificationError
    from embeddings.formats.detect import formats
    from embeddings.specification.grammar import options
    from embeddings.specification.sources import SOURCES
    from embeddings.specification.suggest import did_you_mean
    from embeddings.specification.transforms import TRANSFORMS

    known = [*SOURCES.available, *TRANSFORMS.available]
    for name in names:
        if name not in known:
            raise SpecificationError(f"no source or transform is called {name!r}.{did_you_mean(name, known)} "
                                     f"There are: {', '.join(known)}")
    for title, option, registry in (("Sources", "--source", SOURCES), ("Transforms", "--transform", TRANSFORMS)):
        chosen = {name: cls for name, cls in registry.available.items() if not names or name in names}
        if chosen:
            echo(f"{title}, for {option} (options follow as ,key=value):\n")
        for name, cls in chosen.items():
            positional = "path" if registry is SOURCES else next(iter(options(cls)), "")
            echo("\n".join(describe(name, cls, positional=positional, option=option)) + "\n")
    if not names:
        echo("A+B is short for concat(A,B).\n\nVector file formats, detected by content:\n")
        for one in formats():
            written = f"written as {', '.join(one.suffixes)}" if one.suffixes else "read only"
            echo(f"  {one.name:{INDENT - 4}}  {written}")


def describe(name: str, cls: type, *, positional: str, option: str) -> Iterator[str]:
    """Yield the lines that describe a source or transform.

    Args:
        name: its name.
        cls: its dataclass.
        positional: the option that is written after the colon.
        option: the command-line option that takes it, for the example.
    """
    from embeddings.specification.grammar import descriptions, options, takes_parts

    explained = descriptions(cls)
    forms = {key: f"{name}:{key.upper()}" if key == positional else key for key in options(cls)}
    yield f"  {name}(A,B)" if takes_parts(cls) else f"  {name}"
    yield from textwrap.wrap((cls.__doc__ or "").strip().splitlines()[0].replace("``", "`"), WIDTH,
                             initial_indent=" " * 4, subsequent_indent=" " * 4)
    for key, default in options(cls).items():
        value = "" if default is None else f" [default: {default}]"
        head = f"      {forms[key]:{INDENT - 8}}  "
        yield from textwrap.wrap(explained[key] + value, WIDTH, initial_indent=head, subsequent_indent=" " * INDENT)
    if example := getattr(cls, "example", ""):
        yield f"      example: {option} {_quoted(example)}"


def _quoted(specification: str) -> str:
    """Quote a specification for the shell, if necessary."""
    return f"'{specification}'" if set("()!; ") & set(specification) else specification
