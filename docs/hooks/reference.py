"""Hook of MkDocs: reference pages that are generated from the code, so that they cannot differ from it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import rich_click as click
from mkdocs.structure.files import File, Files

import vecformer
from pipeline.drawing.markdown import code_cell, plain

NOTICE = "This page is generated from the code.\n\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for name, write in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content="\n".join(write()) + "\n"))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Add a link to the generated page below the title of the page that it belongs to."""
    for name, (host, text) in LINKED_FROM.items():
        if page.file.src_uri == host:
            title, _, rest = markdown.partition("\n")
            return f"{title}\n\n[{text}](reference/{name}.md){{ .md-button }}\n{rest}"
    return markdown


def commands() -> Iterator[str]:
    """Yield the reference of the command line."""
    from pipeline.cli.main import cli

    yield f"# Options of every command\n\n{NOTICE}The text is that of `vecformer COMMAND --help`.\n"
    yield from _group(cli, click.Context(cli, info_name="vecformer"))


def _group(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield from _command(command, inner)
        if isinstance(command, click.Group):
            yield from _group(command, inner)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    text, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    yield f"## {context.command_path}\n\n```text\n{context.command_path} {usage}\n```\n\n{_prose(text)}\n"
    if examples:
        yield f"```bash\n{examples.strip()}\n```\n"
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and not one.hidden]
    rows = [_option(option, context) for option in options if option.name != "help"]
    if rows:
        yield "| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _option(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join([*option.opts, *option.secondary_opts])
    more = " Required." * option.required + " Can be repeated." * (
        option.multiple and "repeated" not in (option.help or ""))
    return f"| {code_cell(names + value)} | {_prose(option.help or '')}{more} |"


def configuration() -> Iterator[str]:
    """Yield the reference of the configuration keys, by section."""
    from pipeline.config import keys

    yield f"# Configuration keys\n\n{NOTICE}A key is set in a file by its section, or by `--set key=value`.\n"
    sections: dict[str, list[str]] = {}
    for key, item in keys():
        section = key.rpartition(".")[0]
        row = f"| {code_cell(key)} | {code_cell(_toml(item.default))} | {_prose(item.metadata['help'])} |"
        sections.setdefault(section, []).append(row)
    for section, rows in sections.items():
        yield f"## {f'[{section}]' if section else 'Keys without a section'}\n"
        yield "| key | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _toml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def sources() -> Iterator[str]:
    """Yield the reference of sources, transforms and vector file formats."""
    from embeddings.formats.detect import formats
    from embeddings.specification.grammar import options
    from embeddings.specification.sources import SOURCES
    from embeddings.specification.transforms import TRANSFORMS

    yield (f"# Options of sources and transforms\n\n{NOTICE}`vecformer sources` prints the same, with those of other "
           "packages that are installed.\n")
    for title, registry in (("Sources", SOURCES), ("Transforms", TRANSFORMS)):
        yield f"## {title}\n"
        for name, cls in registry.available.items():
            first = "path" if registry is SOURCES else next(iter(options(cls)), "")
            yield from _plugin(name, cls, first)
    yield "## Vector file formats\n\nDetected by content.\n\n| format | written as |\n|---|---|"
    for one in formats():
        yield f"| {plain(one.name)} | {', '.join(map(code_cell, one.suffixes)) or 'read only'} |"


def _plugin(name: str, cls: type, positional: str) -> Iterator[str]:
    from embeddings.specification.grammar import descriptions, options, takes_parts

    yield f"### `{name}{'(A,B)' if takes_parts(cls) else ''}`\n\n{_prose(inspect.getdoc(cls) or '')}\n"
    if example := getattr(cls, "example", ""):
        yield f"Example: {code_cell(example)}\n"
    explained = descriptions(cls)
    rows = [f"| {code_cell(f'{name}:{key.upper()}' if key == positional else key)} | "
            f"{'' if default is None else code_cell(str(default))} | {_prose(explained[key])} |"
            for key, default in options(cls).items()]
    if rows:
        yield "| option | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def tasks() -> Iterator[str]:
    """Yield the reference of the tasks."""
    from pipeline.commands.tasks import tasks as described

    yield f"# Measures, files and keys of the tasks\n\n{NOTICE}`vecformer tasks` prints the same.\n"
    for one in described():
        yield f"## {one['name']}\n\n{_prose(one['description'])}\n"
        yield "| measure | definition |\n|---|---|"
        yield "\n".join(f"| {code_cell(measure['name'])} | {_prose(measure['help'])} |" for measure in one["measures"])
        for title, key in (("Files", "files"), ("Own configuration keys", "keys"), ("Baselines", "baselines")):
            if one[key]:
                yield f"\n{title}: {', '.join(map(code_cell, one[key]))}."
        yield ""


def python() -> Iterator[str]:
    """Yield the reference of the public Python API, for mkdocstrings."""
    yield f"# Names of the Python API\n\n{NOTICE}`import vecformer` provides them.\n"
    for name in sorted(vecformer._HOMES, key=str.lower):
        yield f"::: {getattr(getattr(vecformer, name), '__module__', vecformer._HOMES[name])}.{name}\n"


def _prose(text: str) -> str:
    """Return help as Markdown, one line for each paragraph: text between backticks is code, other text is escaped."""
    paragraphs = [" ".join(part.split()) for part in text.replace("``", "`").split("\n\n")]
    return "\n\n".join("".join(code_cell(piece) if i % 2 else plain(piece) if piece else ""
                               for i, piece in enumerate(paragraph.split("`"))) for paragraph in paragraphs)


LINKED_FROM = {
    "commands": ("commands.md", "All options of every command"),
    "configuration": ("configuration.md", "All keys"),
    "sources": ("sources.md", "All options of sources and transforms"),
    "tasks": ("tasks.md", "All measures, files, keys and baselines"),
    "python": ("python-api.md", "All names"),
}
PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands, "configuration": configuration, "sources": sources, "tasks": tasks, "python": python,
}
