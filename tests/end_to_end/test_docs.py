"""The README and the documentation: examples run as printed, links resolve, nothing is undocumented."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.config import keys

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
INDEX = ROOT / "docs" / "index.md"
TUTORIALS = ROOT / "docs" / "tutorials" / "index.md"
DOCS = sorted(path for folder in ("docs", "docs/tasks", "docs/tutorials")
              for path in (ROOT / folder).glob("*.md"))
PAGES = [README, *(path for path in DOCS if path.name != "decisions.md")]
PROSE = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "data/README.md"))]
MAX_README_WORDS = 1200
MAX_BLOCKS_NOT_RUN = 6
BLOCK = re.compile(r"^```(bash|python)(?: (notest|datasets))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = r"(?:^|\s)([a-z]+\.(?!safetensors|toml|onnx)[a-z_]+)(?=[\s=]|$)"
PRINTED = r"^print\(.*\) +# (.+)$"
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
RENAMED_KEYS = {"training.engine"}  # its old name is training.compiled


def identifier(path):
    return str(path.relative_to(ROOT))


def blocks(page, *marks):
    """The blocks of a page that are run, those with one of these marks included: ``(language, text)``."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, mark, text in found if mark in ("", *marks)]


def needs_datasets(page):
    return len(blocks(page, "datasets")) > len(blocks(page))


def run_command(line):
    """Run one line of a bash block; return what it prints. The target of a ``make`` line must exist."""
    name, *args = shlex.split(os.path.expandvars(line))
    if name == "make":
        assert set(args) <= TARGETS, line
        return ""
    assert name == "vecformer", line
    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    assert done.stdout.strip(), line
    return done.stdout


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and not needs_datasets(page)], ids=identifier)
def test_examples_run_as_printed(page, tmp_path, monkeypatch, capsys):
    """Commands succeed; Python prints what the comments after ``print(...)`` state."""
    run_blocks(page, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.datasets
@pytest.mark.parametrize("page", [page for page in PAGES if needs_datasets(page)], ids=identifier)
def test_examples_with_real_data_run_as_printed(page, datasets, tmp_path, monkeypatch, capsys):
    run_blocks(page, tmp_path, monkeypatch, capsys, "datasets")


def run_blocks(page, tmp_path, monkeypatch, capsys, *marks):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    names = {"__name__": "__main__"}
    for language, text in blocks(page, *marks):
        if language == "python":
            exec(compile(text, identifier(page), "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            assert [expected for expected in re.findall(PRINTED, text, re.MULTILINE) if expected not in printed] == []
            continue
        for line in text.splitlines():
            printed = run_command(line)
            if "predict" in line and "Eiffel" in line:
                assert printed.split("\t")[0] == "Paris"


def test_few_blocks_are_not_run():
    not_run = [page for page in PAGES for _, mark, _ in BLOCK.findall(page.read_text(encoding="utf-8"))
               if mark == "notest"]
    assert len(not_run) <= MAX_BLOCKS_NOT_RUN
    assert README not in not_run


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").split()) <= MAX_README_WORDS


@pytest.mark.parametrize("page", [*PROSE, ROOT / "docs" / "decisions.md"], ids=identifier)
def test_links_resolve(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("start", [README, INDEX], ids=identifier)
def test_every_page_is_linked(start):
    tutorials = {path for path in DOCS if path.parent == TUTORIALS.parent}
    assert ({*DOCS} - tutorials - {start}) | {TUTORIALS} <= linked_by(start)
    assert tutorials - {TUTORIALS} <= linked_by(TUTORIALS)


def linked_by(page):
    return {(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8"))}


def commands(group=cli, prefix="vecformer"):
    """Every command with its full name, subcommands included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


def documentation():
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_every_command_is_documented():
    text = documentation()
    assert [name for name, _ in commands() if not re.search(rf"{name}\b", text)] == []


def test_every_task_has_a_page():
    from pipeline.tasks import base

    pages = {path.stem for path in DOCS if path.parent.name == "tasks"}
    assert pages == set(base.TASKS.available)


def test_every_source_and_transform_is_documented():
    from embeddings.specification import sources, transforms

    text = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
    for name in (*sources.SOURCES.available, *transforms.TRANSFORMS.available):
        assert re.search(rf"`{name}\b", text), name


def test_options_and_keys_that_are_named_exist():
    parameters = [parameter for _, command in commands() for parameter in command.get_params(click.Context(command))]
    known_options = {option for parameter in parameters for option in parameter.opts}
    known_keys = {key for key, _ in keys()} | RENAMED_KEYS
    sections = {key.partition(".")[0] for key in known_keys if "." in key}
    for page in PAGES:
        code = re.findall(r"`([^`\n]+)`", BLOCK.sub("", page.read_text(encoding="utf-8")))
        for option in re.findall(r"(?<!\S)(--[a-z0-9-]+)", "\n".join(code)):
            assert option in known_options, f"{identifier(page)}: {option}"
        for key in re.findall(KEY, "\n".join(code), re.MULTILINE):
            assert key in known_keys or key.partition(".")[0] not in sections, f"{identifier(page)}: {key}"


def test_the_example_source_in_contributing_works(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(ROOT / "embeddings", tmp_path / "embeddings")
    (tmp_path / "embeddings" / "sources" / "letters.py").write_text(code)
    use = "from embeddings import load_vectors as l; print(l('letters,alphabet=ab', ['abba']).vectors.tolist())"
    done = subprocess.run([sys.executable, "-c", use], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[2.0, 2.0]]"
