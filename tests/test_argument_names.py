"""Messages name options of the command line through `embeddings.table.arguments`, so that Python shows arguments."""

import ast
import pickle
import re
from pathlib import Path

import pytest

import vecformer
from embeddings.table.arguments import for_command_line

pytestmark = pytest.mark.python_messages

ROOT = Path(__file__).parent.parent
HELPERS = {"argument", "flag", "setting", "either"}
OPTION = re.compile(r"(?<![\w-])--[a-z]")
FOREIGN = re.compile(r"\b(pip install|ray start|torchrun|gensim\.downloader) [^,;.]*|^--address=HOST:PORT`$|"
                     r"^ --local-dir FOLDER, ")
"""Commands of other programs, which have options of their own."""
FOR_COMMANDS = {
    "pipeline/commands/completion.py", "pipeline/commands/config.py", "pipeline/commands/demo.py",
    "pipeline/commands/inspect.py", "pipeline/commands/line_stream.py", "pipeline/commands/prediction_inputs.py",
    "pipeline/commands/vectors.py", "pipeline/data/writers/results.py", "pipeline/runs/card/limits.py",
    "pipeline/runs/card/repeat.py", "pipeline/serving/server.py",
}
"""Functions that commands alone call, and the card of a run, which has the command that repeats it."""


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
            if not name.startswith(("pipeline/cli/", "pipeline/runs/card/")) and name not in FOR_COMMANDS:
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


SMALL = {"source": "random,dim=8", "recipe": "plain", "baselines": "none", "training": {"epochs": 1},
         "model": {"d_model": 8, "n_layers": 1, "n_heads": 1, "d_ff": 8}}


def run(folder, name="new", files=None, keys=None, **arguments):
    data = folder / f"data-{name}"
    data.mkdir(exist_ok=True)
    for file, content in (files or {}).items():
        (data / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    source = data if files else ROOT / "data" / "support"
    config = vecformer.RunConfig.from_mapping(SMALL | {"data": {"path": str(source)}} | (keys or {}))
    return vecformer.run(config, folder / name, **arguments)


def unpickled(folder):
    path = folder / "vectors.pkl"
    path.write_bytes(pickle.dumps({"word": [1.0, 2.0]}))
    return vecformer.load_vectors(path)


def loaded(folder):
    return vecformer.load_run(folder / "finished")


def damaged(folder):
    path = folder / "finished" / "resolved.json"
    content = path.read_bytes()
    path.write_bytes(b"{}")
    try:
        return loaded(folder)
    finally:
        path.write_bytes(content)


TWO = "text\tlabel\none\ta\ntwo\ta\nthree\ta\nfour\ta\nfive\ta\n"
MISTAKES = {
    "no data": lambda folder: run(folder, keys={"data": {}}),
    "out exists": lambda folder: run(folder, "finished"),
    "out is reserved": lambda folder: run(folder, "finished.unfinished"),
    "out is no run": lambda folder: run(folder, ".", overwrite=True),
    "columns": lambda folder: run(folder, "columns", {"train.tsv": "aa\tbb\nx\ty\n"}),
    "one column": lambda folder: run(folder, "one", {"train.tsv": "text;label\nx;y\n"}, {"data": {
        "path": str(folder / "data-one"), "separator": "tab"}}),
    "one label": lambda folder: run(folder, "label", {"train.tsv": TWO}),
    "no label": lambda folder: run(folder, "none", {"train.tsv": TWO.replace("\ta", "\t")}),
    "each label once": lambda folder: run(folder, "once", {"train.tsv": "text\tlabel\none\ta\ntwo\tb\n"}),
    "several labels": lambda folder: run(folder, "several", {"train.jsonl": '{"text": "x", "label": ["a", "b"]}\n'}),
    "encoding": lambda folder: run(folder, "bytes", {"train.tsv": b"text\tlabel\n\xff\xfe\ta\n"}, {"data": {
        "path": str(folder / "data-bytes"), "encoding": "utf-8"}}),
    "engine": lambda folder: run(folder, keys={"training": {"engine": "int8"}}),
    "numbers": lambda folder: run(folder, "numbers", {"train.tsv": TWO}, {"task": "regression"}),
    "pickle": unpickled,
    "trained source without text": lambda folder: vecformer.load_vectors("word2vec", vocabulary=["a"]),
    "rare words": lambda folder: vecformer.load_vectors("word2vec", texts=["a b c"]),
    "no run": lambda folder: vecformer.load_run(folder / "none" / "missing"),
    "damaged run": damaged,
    "context": lambda folder: loaded(folder).predict(["a"], contexts=["b"]),
    "abstain without a dev set": lambda folder: loaded(folder).predict(["a"], abstain=0.05),
    "abstain never": lambda folder: loaded(folder).predict(["a"], abstain=2),
    "generate": lambda folder: vecformer.generate(loaded(folder), "a"),
    "export of a page": lambda folder: vecformer.export(folder / "finished", folder / "exported", to="page"),
    "export exists": lambda folder: vecformer.export(folder / "finished", folder / "finished"),
    "benchmark in a folder of others": lambda folder: vecformer.benchmark(
        vecformer.Grid(sources=("random", "glove")), folder / "finished"),
    "no sources": lambda folder: vecformer.Grid(sources=()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("mistakes")
    run(path, "finished", keys={"model": {**SMALL["model"], "positions": "alibi"}})
    return path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_messages_name_arguments_in_python_and_options_in_commands(mistake, folder):
    """Calls of the façade: what each message names depends on the caller."""
    with pytest.raises(ValueError) as of_python:
        MISTAKES[mistake](folder)
    with pytest.raises(ValueError) as of_command, for_command_line():
        MISTAKES[mistake](folder)
    assert not OPTION.search(str(of_python.value)), str(of_python.value)
    assert OPTION.search(str(of_command.value)), str(of_command.value)
