"""Every option and argument of every command with invalid and extreme values: one message, never a traceback."""

import shutil

import numpy as np
import pytest
import rich_click as click
from click.testing import CliRunner
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from pipeline.cli.main import cli
from pipeline.drawing.terminal import MAX_MESSAGE, visible
from pipeline.errors import RunFolderError

TINY = ["--source", "random", "--epochs", "1", "--set", "model.n_layers=1", "--set", "model.d_model=16", "--set",
        "model.n_heads=2", "--set", "model.d_ff=32", "--set", "data.unseen_words=10"]
LIMIT = MAX_MESSAGE + 1500  # the message and the usage

VALUES = {
    "empty": "",
    "NUL": "a\0b",
    "escape": "\x1b[31mred\x07",
    "long": "x" * 5_000,
    "long path": "x/" * 5_000,
    "folder": "FOLDER",
    "binary": "BINARY",
    "loop": "LOOP",
    "below a file": "BINARY/x",
    "no folder": "FOLDER/none/none/x",
    "not UTF-8": "caf\udce9",
    "digits": "9" * 5_000,
    "beyond int64": str(2**63),
    "nan": "nan",
    "nested": "(" * 3_000,
    "brackets": "seed=" + "[" * 3_000,
    "signs": "=,+=|;",
}


def leaves(group, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = {" ".join(path): command for path, command in leaves(cli)}
PARAMETERS = [(name, parameter.name) for name, command in COMMANDS.items() for parameter in command.params
              if not getattr(parameter, "is_flag", False)]


@pytest.fixture(scope="module")
def place(tmp_path_factory, support):
    """A folder with a finished run, vectors, and things that are not what an option expects."""
    folder = tmp_path_factory.mktemp("hostile")
    done = CliRunner().invoke(cli, ["run", "--data", str(support), *TINY, "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    (folder / "FOLDER").mkdir()
    (folder / "BINARY").write_bytes(bytes(range(256)) * 20)
    (folder / "LOOP").symlink_to("LOOP")
    shutil.copy(support / "vectors.txt", folder / "vectors.txt")
    (folder / "text.txt").write_text("one two three four five six\n" * 50)
    (folder / "checkpoint").mkdir()
    write_checkpoint(folder / "checkpoint")
    return folder


def write_checkpoint(folder):
    """Write the least that a transplant reads."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "one": 1, "two": 2}, unk_token="[UNK]"))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"vocab_size": 3}')
    save_file({"word_embeddings.weight": np.ones((3, 2), np.float32)}, folder / "model.safetensors")


def ordinary(name, support):
    """Arguments with which a command works, or refuses to start in time."""
    return {
        "run": ["--data", str(support), *TINY, "--out", "out", "--overwrite"],
        "pretrain": ["--corpus", str(support / "unlabelled.txt"), "--source", "random", "--epochs", "1", "--set",
                     "model.d_model=8", "--set", "model.n_heads=2", "--out", "out", "--overwrite"],
        "recipe": ["--data", str(support)],
        "config": ["config.toml", "--overwrite"],
        "evaluate": ["run", "--data", str(support / "test.tsv")],
        "predict": ["run", "a text"],
        "suggest": ["run", "--unlabelled", "text.txt"],
        "generate": ["run"],
        "serve": ["run", "--port", "0"],
        "inspect": ["run"],
        "explain": ["run", "a text"],
        "export": ["run", "--to", "hf", "--out", "exported"],
        "transplant": ["checkpoint", "--text", "text.txt", "--out", "transplanted", "--method", "mean", "--tokenizer",
                       "wordpiece,size=30", "--overwrite"],
        "benchmark": ["--data", "none.tsv", "--out", "benchmark"],
        "compare": ["run", "run"],
        "rank": ["--data", str(support), "--source", "random,dim=8", "--source", "random,dim=9"],
        "demo": ["--out", "BINARY"],
        "sources": [], "tasks": [], "completion": ["bash"],
        "embed train": ["text.txt", "--to", "trained.txt", "--source", "word2vec,dim=4,epochs=1", "--overwrite"],
        "embed convert": ["vectors.txt", "--to", "converted.txt", "--overwrite"],
        "embed info": ["vectors.txt"],
        "embed neighbors": ["vectors.txt", "parcel"],
        "embed analogy": ["vectors.txt", "parcel", "card", "refund"],
        "embed coverage": ["vectors.txt", "--text", "text.txt"],
        "embed evaluate": ["vectors.txt", "--similarity", "text.txt"],
        "embed map": ["vectors.txt", "--out", "map.html", "--method", "pca", "--overwrite"],
    }[name]


def with_value(name, parameter, value, arguments):
    """Return the arguments of a command with one of them replaced, or added."""
    command = COMMANDS[name]
    if isinstance(parameter, click.Option):
        option = parameter.opts[0]
        if option in arguments and not parameter.multiple:
            at = arguments.index(option)
            return [*arguments[:at], option, value, *arguments[at + 2:]]
        if name == "predict" and option == "--file":
            return ["run", option, value]
        if option == "--resume":
            return [option, value]
        return [*arguments, option, value]
    position = [one for one in command.params if isinstance(one, click.Argument)].index(parameter)
    words = [*arguments, *[""] * (position + 1 - len(arguments))]
    return ["--", *words[:position], value] if not parameter.required else [
        *words[:position], value, *words[position + 1:]]


def refuse(*_args, **_more):
    raise RunFolderError("not run here")


def check(name, parameter, value, place, support, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr("pipeline.commands.demo.run", refuse)  # three runs on BBC News
    monkeypatch.setattr("pipeline.serving.server.Server.run", refuse)  # would wait for requests
    arguments = with_value(name, parameter, value, ordinary(name, support))
    result = CliRunner().invoke(cli, [*name.split(), *arguments], input=b"")
    assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
    assert result.exit_code in (0, 1, 2), arguments
    if result.exit_code:
        assert "Error: " in result.output, arguments
        assert "Traceback" not in result.output
        assert len(result.output) < LIMIT, arguments
    assert visible(result.output) == result.output, arguments


def turns(n):
    """Yield each parameter with ``n`` of the values, in turns."""
    for i, (name, parameter) in enumerate(PARAMETERS):
        for value in [*VALUES, *VALUES][n * i % len(VALUES):][:n]:
            yield pytest.param(name, parameter, value, id=f"{name} {parameter} {value}")


def test_all_commands_and_values_have_their_turn():
    assert {case.values[0] for case in turns(2)} == set(COMMANDS) - {"tasks"}
    assert {case.values[2] for case in turns(2)} == set(VALUES)


@pytest.mark.parametrize(("name", "parameter", "value"), turns(2))
def test_every_parameter(name, parameter, value, place, support, monkeypatch):
    found = next(one for one in COMMANDS[name].params if one.name == parameter)
    check(name, found, VALUES[value], place, support, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameter", "value"), turns(len(VALUES)))
def test_every_parameter_with_every_value(name, parameter, value, place, support, monkeypatch):
    found = next(one for one in COMMANDS[name].params if one.name == parameter)
    check(name, found, VALUES[value], place, support, monkeypatch)
