"""The house: imports run one way, each package stands by itself, no file grows past reading."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "embeddings": set(),
    "transformer": {"embeddings.table", "embeddings.special_tokens"},
    "pipeline": {"embeddings", "transformer"},
}


def imports(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module if node.level == 0 else "relative import"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            home = name.split(".")[0]
            if home in MAY_IMPORT and home != package:
                assert any(name == allowed or name.startswith(allowed + ".") for allowed in MAY_IMPORT[package]), (
                    f"{file.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("package", ["embeddings", "transformer"])
def test_a_package_stands_alone(package):
    """With the other two packages out of reach: `transformer` needs `embeddings`, and nothing needs `pipeline`."""
    refused = {"embeddings": ("transformer", "pipeline"), "transformer": ("pipeline",)}[package]
    code = f"import sys; sys.modules.update(dict.fromkeys({refused!r})); import {package}; print('fine')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "fine\n"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [("import embeddings", {"torch", "gensim"}), ("import transformer", {"gensim", "sklearn"}),
     ("import pipeline", {"torch", "gensim", "numpy"}), ("import vecformer", {"torch", "gensim", "numpy"})],
)
def test_nothing_heavy_comes_along(statement, absent):
    code = f"{statement}; import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not absent & set(loaded)


def test_names_that_others_call():
    import pipeline.cli.run  # a command that was imported first must not hide the function
    from pipeline import RunConfig, load_run, run

    assert callable(run)
    assert callable(load_run)
    assert RunConfig().source == "glove"
    assert pipeline.run is run


def test_no_file_is_long():
    for package in MAY_IMPORT:
        for file in (ROOT / package).rglob("*.py"):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


def test_a_source_is_one_new_file(tmp_path):
    """A file put into embeddings/sources is found by its name, and nothing else is touched."""
    import shutil

    shutil.copytree(ROOT / "embeddings", tmp_path / "embeddings")
    (tmp_path / "embeddings" / "sources" / "constant.py").write_text(
        "from dataclasses import dataclass\n"
        "import numpy as np\n"
        "from embeddings.specification.sources import source\n"
        "from embeddings.table import EmbeddingTable\n\n\n"
        "@source('constant')\n@dataclass(frozen=True)\nclass Constant:\n"
        "    \"\"\"One number everywhere.\"\"\"\n\n    value: float = 1.0\n\n"
        "    def load(self, request):\n"
        "        words = list(request.vocabulary)\n"
        "        return EmbeddingTable.known(words, np.full((len(words), 2), self.value, np.float32), 'constant')\n"
    )
    code = "from embeddings import load_vectors; print(load_vectors('constant,value=3', ['a']).vectors.tolist())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[3.0, 3.0]]"
