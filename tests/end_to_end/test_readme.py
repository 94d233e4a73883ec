"""The README's commands, run as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    (folder / "data").symlink_to(ROOT / "data")
    return folder


def test_the_commands_run_in_their_order(folder):
    assert len(COMMANDS) >= 10
    for command in COMMANDS:
        name, *args = shlex.split(command)
        assert name == "vecformer", command
        done = subprocess.run([sys.executable, "-c", "from pipeline.cli.main import main; main()", *args],
                              cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout.strip(), command
        if "Eiffel" in command and "predict" in command:
            assert done.stdout.split("\t")[0] == "Paris"


def test_the_python_runs(folder):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"0\.\d+ (billing|delivery|product)\n", done.stdout)


def test_the_make_targets_are_there():
    targets = re.findall(r"^make (\S+)", README, re.MULTILINE)
    assert {"run", "test"} <= set(targets)
    for target in targets:
        assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True).returncode == 0


def test_the_files_and_links_are_there():
    for name in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / name).exists(), name
    layout = README.split("## Layout")[1]
    for name in re.findall(r"^(\S+/)\s", layout, re.MULTILINE):
        assert (ROOT / name).is_dir(), name


def test_the_source_in_contributing_works(tmp_path):
    import shutil

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    shutil.copytree(ROOT / "embeddings", tmp_path / "embeddings")
    (tmp_path / "embeddings" / "sources" / "letters.py").write_text(code)
    use = "from embeddings import load_vectors as l; print(l('letters,alphabet=ab', ['abba']).vectors.tolist())"
    done = subprocess.run([sys.executable, "-c", use], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[2.0, 2.0]]"
