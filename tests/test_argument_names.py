"""Messages name options of the command line through `embeddings.table.arguments`, so that Python shows arguments."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HELPERS = {"argument", "flag", "setting", "either"}
OPTION = re.compile(r"(?<![\w-])--[a-z]")
FOREIGN = re.compile(r"\b(pip install|ray start|torchrun|gensim\.downloader) [^,;.]*|^--address=HOST:PORT`$|"
                     r"^ --local-dir FOLDER, ")
"""Commands of other programs, which have options of their own."""
FOR_COMMANDS = {
    "pipeline/commands/config.py", "pipeline/commands/demo.py", "pipeline/commands/inspect.py",
    "pipeline/commands/prediction_inputs.py", "pipeline/commands/vectors.py",
}
"""Functions that commands alone call; the façade does not export them."""


def texts(tree):
    """Every string outside docstrings and the arguments of the helpers, with its line."""
    documented = {id(node.value) for node in ast.walk(tree)
                  if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in HELPERS:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.lineno, node.value
        waiting.extend(ast.iter_child_nodes(node))


def files():
    for package in ("embeddings", "transformer", "pipeline"):
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not name.startswith("pipeline/cli/") and name not in FOR_COMMANDS:
                yield name


@pytest.mark.parametrize("name", files())
def test_no_message_writes_an_option_itself(name):
    if name == "embeddings/table/arguments.py":
        return
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    found = [f"{line}: {text!r}" for line, text in texts(tree) if OPTION.search(FOREIGN.sub("", text))]
    assert not found, f"{name}: name the option by embeddings.table.arguments\n" + "\n".join(found)


def test_the_test_above_finds_options_and_nothing_else():
    found = [text for _, text in texts(ast.parse(
        '"""--docstring"""\nx = f"choose --out {y}"\nargument("--inside")\nz = "a -- b, x--y"\nw = "--overwrite"'))]
    assert sorted(text for text in found if OPTION.search(text)) == ["--overwrite", "choose --out "]
