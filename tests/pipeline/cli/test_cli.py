"""The command line: help, exit codes, one message for each mistake, nothing half-written."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from embeddings.tokenization import native
from pipeline.cli.main import cli

VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]


def call(*args, **more):
    return CliRunner().invoke(cli, [str(arg) for arg in args], **more)


def commands():
    context = click.Context(cli)
    return [(name, cli.get_command(context, name)) for name in cli.names]


def test_help_is_quick_and_light():
    code = "import sys; from pipeline.cli.main import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(printed.splitlines()[-1].split())
    assert not {"torch", "gensim", "numpy", "sklearn", "pydantic"} & loaded
    help_, library = (min(cpu_seconds(command) for _ in range(5))
                      for command in ([*VECFORMER, "--help"], [sys.executable, "-c", "import rich_click"]))
    assert help_ < 5 * library  # three times as long, when it was written


def cpu_seconds(command):
    """Processor time of a command, which other work on the machine changes little."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


NEEDED_BY_NGRAMS = {"scipy"} if native.available() else {"scipy", "sklearn", "rich"}


@pytest.mark.parametrize(("recipe", "needed"), [("plain", set()), ("auto", NEEDED_BY_NGRAMS)])
def test_predict_imports_only_what_it_needs(recipe, needed, tmp_path, support):
    done = call("run", "--data", support, "--recipe", recipe, "--source", "glove", "--epochs", 1, "--out",
                tmp_path / "run")
    assert done.exit_code == 0
    code = ("import sys; from pipeline.cli.main import cli\n"
            "cli(['predict', sys.argv[1], 'My xylophone came broken.'], standalone_mode=False); print(*sys.modules)")
    printed = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True, check=True)
    answer, loaded = printed.stdout.splitlines()
    assert answer.endswith("My xylophone came broken.")
    loaded = set(loaded.split())
    assert "torch" in loaded
    assert {"scipy", "sklearn", "matplotlib", "pyarrow", "gensim", "seqeval", "sacrebleu", "jinja2",
            "rich", "pandas", "rapidfuzz", "huggingface_hub", "transformers", "pipeline.runs.chain",
            "pipeline.tasks.translation", "embeddings.loading", "embeddings.sources.glove"} & loaded == needed


@pytest.mark.parametrize(("name", "command"), commands(), ids=cli.names)
def test_every_command_and_option_has_help(name, command):
    assert command.help, name
    assert f"vecformer {name}" in command.help or "vecformer run" in command.help, f"{name} has no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    assert call(name, "--help").exit_code == 0


@pytest.mark.parametrize("name", ["run", "predict", "demo"])
def test_examples_are_on_separate_lines(name):
    lines = [line.strip() for line in call(name, "--help").output.splitlines()]
    assert sum(line.startswith((f"vecformer {name}", "cat headlines.txt |")) for line in lines) >= 2
    assert not any("\\b" in line or "\b" in line for line in lines)


def test_transforms_and_policy_by_option(tmp_path, support):
    out = tmp_path / "run"
    done = call("run", "--data", support, "--source", "glove", "--transform", "center", "--transform", "unit",
                "--unknown", "case,zero", "--epochs", 1, "--out", out)
    assert done.exit_code == 0, done.output
    text = (out / "config.toml").read_text()
    assert json.loads((out / "metrics.json").read_text())["transforms"] == ["center", "unit"]
    assert "trust_pickle = false" in text
    for wrong, told in (("--transform", "no transform is called 'cat'"), ("--unknown", "is called 'cat'")):
        refused = call("run", "--data", support, wrong, "cat", "--out", tmp_path / "none")
        assert refused.exit_code == 2
        assert told in refused.output


def test_sources_and_transforms_are_listed():
    listed = call("sources").output
    for name in ("average(A,B)", "glove:PATH", "pca:DIM", "all-but-the-top:DIRECTIONS"):
        assert name in listed


def test_an_unknown_command_is_refused_with_the_nearest():
    result = call("predcit")
    assert result.exit_code == 2
    assert "Did you mean 'predict'?" in result.output


@pytest.fixture
def labelled(tmp_path):
    """Write a data file and give its path."""

    def write(content, name="data.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


GOOD = "text\tlabel\n" + "".join(f"word{i} and more\t{'ab'[i % 2]}\n" for i in range(12))

MISTAKES = {
    "no data": ([], "no data; add --data FILE", 1),
    "no such file": (["--data", "none.tsv"], "none.tsv: no such file or folder", 1),
    "misspelt file": (["--data", "dta.tsv"], "Did you mean 'data.tsv'?", 1),
    "URL of data": (["--data", "https://example.org/a.tsv"], "https://example.org/a.tsv: URLs are not read", 1),
    "URL of vectors": (["--source", "https://example.org/a.vec"], "URLs are not read; download the file", 2),
    "vectors without file:": (["--source", "data.tsv"], "write file:data.tsv", 2),
    "data as a configuration": (["data.tsv"], "If it is a file of data, write --data data.tsv", 2),
    "column": (["--text-column", "txet"], "with --text-column NAME. Did you mean 'text'?", 1),
    "transform": (["--set", 'transforms=["centre"]'], "Did you mean 'center'?", 2),
    "policy": (["--unknown", "cases"], "Did you mean 'case'?", 2),
    "unknown key": (["--set", "model.dmodel=4"], "Did you mean 'model.d_model'?", 2),
    "not an assignment": (["--set", "model"], "write it as key.path=value", 2),
    "wrong value": (["--epochs", "-1"], "training.epochs must be 1 or more, or 0 for about 1000 steps, not -1", 2),
    "wrong heads": (["--set", "model.n_heads=3"], "model.d_model=128 is not a multiple of model.n_heads=3", 2),
    "unknown source": (["--source", "glvoe"], "Did you mean 'glove'?", 2),
    "unknown task": (["--task", "clasification"], "Did you mean 'classification'?", 2),
}
BAD_FILES = {
    "empty": ("", "the file is empty"),
    "header only": ("text\tlabel\n", "the file has no rows"),
    "one label": ("text\tlabel\n" + "a\tx\nb\tx\nc\tx\nd\tx\n", "at least two labels"),
    "no text": (b"text\tlabel\nfine\ta\nbr\0\xffken\tb\n", "data.tsv:3: not text"),
    "missing column": ("words\tlabel\nx\ta\n", "--text-column"),
    "ragged": ("text\tlabel\nx\ta\ny\n", "data.tsv:3: 1 cells, but the header has 2"),
}


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith((".", "out"))]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_options(mistake, labelled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options, message, code = MISTAKES[mistake]
    file = labelled(GOOD)
    data = [] if mistake == "no data" or "--data" in options else ["--data", file]
    result = call("run", *data, *options, "--out", tmp_path / "out")
    assert (result.exit_code, leftovers(tmp_path)) == (code, [])
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("kind", BAD_FILES)
def test_mistakes_in_data(kind, labelled, tmp_path):
    content, message = BAD_FILES[kind]
    args = ["run", "--source", "random", "--data", labelled(content), "--out", tmp_path / "out"]
    done = subprocess.run([*VECFORMER, *args], capture_output=True, text=True)
    assert (done.returncode, leftovers(tmp_path)) == (1, [])
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_vector_file_is_reported_with_the_line(labelled, tmp_path):
    vectors = labelled("word1 1 2\nand 3\n", "vectors.txt")
    result = call("run", "--data", labelled(GOOD), "--source", f"glove:{vectors}", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "vectors.txt:2" in result.output
    assert leftovers(tmp_path) == []


def test_an_existing_folder_is_kept_and_overwrite_replaces_it(labelled, tmp_path):
    args = ["run", "--data", labelled(GOOD), "--source", "random", "--epochs", 1, "--out", tmp_path / "out"]
    assert call(*args).exit_code == 0
    before = (tmp_path / "out" / "manifest.json").read_text()
    refused = call(*args, "--seed", 2)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
    assert (tmp_path / "out" / "manifest.json").read_text() == before
    assert call(*args, "--seed", 2, "--overwrite").exit_code == 0
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["seed"] == 2
    assert leftovers(tmp_path) == ["out"]


def test_an_interrupted_run_can_be_resumed(tmp_path, support):
    import signal

    args = ["run", "--data", support, "--source", "random", "--epochs", "10000", "-v", "--out", tmp_path / "out"]
    process = subprocess.Popen([*VECFORMER, *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 1 "):
            process.send_signal(signal.SIGINT)
            break
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"interrupted; what is done is kept; resume with: vecformer run --resume {tmp_path / 'out'}" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["out.unfinished"]
    again = call("run", "--data", support, "--source", "random", "--out", tmp_path / "out")
    assert (again.exit_code, f"--resume {tmp_path / 'out'}" in again.output) == (1, True)
    assert f"--resume {tmp_path / 'out'}" in call("predict", tmp_path / "out", "text").output
    assert f"interrupted runs: {tmp_path / 'out'}" in call("run", "--resume", tmp_path / "uot").output


def test_a_single_run_is_not_compared_and_a_file_is_not_a_text(labelled, tmp_path):
    data = labelled(GOOD)
    assert call("run", "--data", data, "--source", "random", "--epochs", 1, "--out", tmp_path / "out").exit_code == 0
    assert "to compare, add runs with another configuration" in call("compare", tmp_path / "out").output
    predicted = call("predict", tmp_path / "out", str(data), "some text")
    assert f"to predict for the texts in it, write --file {data}" in predicted.output
    assert len(predicted.stdout.splitlines()) == 2


def test_no_space_is_one_message_and_leaves_nothing(labelled, tmp_path, monkeypatch):
    import errno

    import pipeline.runs.results

    def full(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline.runs.results, "save_weights", full)
    result = call("run", "--data", labelled(GOOD), "--source", "random", "--epochs", 1, "--out", tmp_path / "out")
    assert (result.exit_code, leftovers(tmp_path)) == (1, ["out.unfinished"])
    assert "no space left" in result.output
    monkeypatch.undo()
    assert call("run", "--resume", tmp_path / "out").exit_code == 0
    assert leftovers(tmp_path) == ["out"]


def test_config_writes_a_file_that_runs(labelled, tmp_path):
    assert call("config", tmp_path / "config.toml").exit_code == 0
    assert call("config", tmp_path / "config.toml").exit_code == 2  # it is there already
    options = ["--data", labelled(GOOD), "--source", "random", "--epochs", 1, "--out", tmp_path / "out"]
    assert call("run", tmp_path / "config.toml", *options).exit_code == 0
    assert 'source = "random"' in (tmp_path / "out" / "config.toml").read_text()


def test_sources_lists_each_with_its_options():
    printed = call("sources").output
    for part in ("random", "word2vec", "fasttext", "glove:PATH", "[default: 100]", "A+B"):
        assert part in printed


def test_a_bug_keeps_its_traceback(labelled, tmp_path, monkeypatch):
    import pipeline.runs.chain

    monkeypatch.setattr(pipeline.runs.chain, "run_stage_one", lambda *_: 1 / 0)
    result = call("run", "--data", labelled(GOOD), "--source", "random", "--out", tmp_path / "out")
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_command_is_one_new_file(tmp_path):
    import shutil

    shutil.copytree(Path(__file__).parents[3] / "pipeline", tmp_path / "pipeline",
                    ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline" / "cli" / "hello.py").write_text(
        "import rich_click as click\n\n\n@click.command('hello')\ndef hello_command():\n"
        "    \"\"\"Print a greeting.\"\"\"\n    click.echo('good morning')\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[3]}"}

    def vecformer(*arguments):
        return subprocess.run([*VECFORMER, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)

    assert "Print a greeting." in vecformer("--help").stdout
    assert vecformer("hello").stdout == "good morning\n"
    assert "Did you mean 'hello'?" in vecformer("helo").stderr


def test_helper_modules_are_no_commands():
    assert {"run", "tasks", "demo"} <= set(cli.names)
    assert not {"common", "lazy", "main"} & set(cli.names)
