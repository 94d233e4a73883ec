"""Completion in real shells, its installation, and the runs that a message about a misspelt one names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli

ROOT = Path(__file__).parents[3]
COMPLETE = r"""
source ./script
words() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=(); _vecformer_completion vecformer
          printf '%s ' "${COMPREPLY[@]}"; echo; }
"""


def call(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with empty runs and a program ``vecformer``."""
    for name in ("runs/support", "runs/support-2", "runs/news", "mine"):
        (tmp_path / name).mkdir(parents=True)
        for file in ("manifest.json", "config.toml"):
            (tmp_path / name / file).touch()
    (tmp_path / "runs" / "other").mkdir()
    program = tmp_path / "bin" / "vecformer"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                       "from pipeline.cli.main import main\nmain()\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def shell(name, text, place):
    (place / "commands").write_text(text)
    done = subprocess.run([name, place / "commands"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash(place):
    (place / "script").write_text(call("completion", "bash").stdout)
    found = shell("bash", COMPLETE + """
        words vecformer pre
        words vecformer predict runs/s
        words vecformer inspect sup
        words vecformer predict mi
        words vecformer run --source glove+wor
        words vecformer run --task ta
        words vecformer predict runs/news --over
        words vecformer completion z
    """, place)
    assert found == [["pretrain", "predict"], ["runs/support", "runs/support-2"], ["runs/support", "runs/support-2"],
                     ["mine"], ["glove+word2vec"], ["tagging"], ["--overwrite"], ["zsh"]]


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
def test_fish(place):
    call("completion", "fish", "--install")
    found = shell("fish", "complete -C 'vecformer pre'\ncomplete -C 'vecformer predict runs/s'\n", place)
    assert [line[0] for line in found] == ["predict", "pretrain", "runs/support", "runs/support-2"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_reads_the_script(place):
    call("completion", "zsh", "--install")
    found = shell("zsh", "fpath+=($HOME/.zfunc); autoload -U compinit; compinit -u -D; print $_comps[vecformer]\n"
                         "_describe() { print ${completions[@]}; }\nwords=(vecformer predict runs/n) CURRENT=3\n"
                         "autoload -U _vecformer\ncompstate=() 2>/dev/null\n", place)
    assert found[0] == ["_vecformer"]


@pytest.mark.parametrize(("name", "file"), [("bash", ".local/share/bash-completion/completions/vecformer"),
                                            ("fish", ".config/fish/completions/vecformer.fish"),
                                            ("zsh", ".zfunc/_vecformer")])
def test_installation(name, file, place):
    done = call("completion", name, "--install")
    assert (done.exit_code, f"wrote {place / file}" in done.stdout) == (0, True)
    assert (place / file).read_text() == call("completion", name).stdout
    assert call("completion", name, "--install").exit_code == 0  # the same content
    (place / file).write_text("mine")
    refused = call("completion", name, "--install")
    assert (refused.exit_code, "--overwrite" in refused.output) == (1, True)
    assert (place / file).read_text() == "mine"
    assert call("completion", name, "--install", "--overwrite").exit_code == 0
    assert (place / file).read_text() != "mine"
    assert call("completion", name, "--overwrite").exit_code == 2


@pytest.mark.parametrize(("given", "first"), [("runs/suport", "runs/support"), ("suport", "runs/support"),
                                              ("runs/new", "runs/news"), ("min", "mine")])
def test_a_misspelt_run_names_the_runs_that_exist(given, first, place):
    done = call("predict", given, "text")
    assert (done.exit_code, f"{given}: no such run; runs that exist: {first}" in done.output) == (1, True)
    assert "runs/other" not in done.output


def test_a_folder_of_runs_names_them(place):
    assert "not a finished run (no manifest.json); runs that exist: runs/" in call("predict", "runs", "text").output
