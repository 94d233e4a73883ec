"""Structure: what may be at each root, the direction of imports, the seam between models and kernels, file sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "embeddings": set(),
    "transformer": {"embeddings.table", "embeddings.special_tokens", "embeddings.threads"},
    "pipeline": {"embeddings", "transformer"},
}

ROOTS = {
    "embeddings": {"loading.py", "request.py", "special_tokens.py", "compressed_files.py", "progress.py", "threads.py",
                   "errors.py", "table", "tokenization", "specification", "sources", "transforms", "formats",
                   "gensim_training", "analysis", "transplant"},
    "transformer": {"config.py", "errors.py", "checkpoint.py", "layers", "models", "kernels", "training", "inspect",
                    "export", "pretrained"},
    "pipeline": {"config.py", "errors.py", "word_vectors.py", "runs", "tasks", "data", "measures", "baselines",
                 "commands", "benchmark", "drawing", "telemetry", "cli", "explanation", "exports", "serving",
                 "estimators"},
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


@pytest.mark.parametrize("package", ROOTS)
def test_only_named_files_and_folders_are_at_the_root_of_a_package(package):
    found = {path.name for path in (ROOT / package).iterdir()
             if path.suffix == ".py" or any(path.rglob("*.py"))} - {"__init__.py", "__pycache__"}
    assert found == ROOTS[package]


def test_layers_know_nothing_of_kernels_and_models_only_the_choice_of_an_engine():
    for file in (ROOT / "transformer" / "layers").rglob("*.py"):
        assert not [name for name in imports(file) if name.startswith("transformer.kernels")], file
    for file in (ROOT / "transformer" / "models").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("transformer.kernels"):
                assert node.module == "transformer.kernels.engine", file
                assert [alias.name for alias in node.names] == ["engine_for"], file


def files_read_to_understand(module, found=None):
    """The files of transformer/ that a module imports, directly or not, kernels excepted."""
    found = {} if found is None else found
    file = ROOT / f"{module.replace('.', '/')}.py"
    for name in imports(file):
        if name.startswith("transformer.") and not name.startswith("transformer.kernels") and name not in found:
            found[name] = len((ROOT / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8").splitlines())
            files_read_to_understand(name, found)
    return found


def test_the_model_is_read_in_ten_files_and_a_thousand_lines():
    found = files_read_to_understand("transformer.models.stack")
    assert len(found) <= 10, found
    assert sum(found.values()) <= 1000, found


@pytest.mark.parametrize(("file", "cls"), [
    ("models/stack.py", "Stack"), ("layers/transformer_layer.py", "TransformerLayer"),
    ("layers/transformer_layer.py", "PostNormLayer"),
])
def test_a_forward_pass_is_short_and_straight(file, cls):
    tree = ast.parse((ROOT / "transformer" / file).read_text(encoding="utf-8"))
    (defined,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)
    (forward,) = (node for node in defined.body if isinstance(node, ast.FunctionDef) and node.name == "forward")
    assert forward.end_lineno - forward.body[1].lineno + 1 < 25  # after the docstring
    assert not [node for node in ast.walk(forward) if isinstance(node, ast.Lambda) or (
        isinstance(node, ast.FunctionDef) and node is not forward)]


@pytest.mark.parametrize("package", ["embeddings", "transformer"])
def test_a_package_stands_alone(package):
    """With the other two packages out of reach: `transformer` needs `embeddings`, and nothing needs `pipeline`."""
    refused = {"embeddings": ("transformer", "pipeline"), "transformer": ("pipeline",)}[package]
    code = f"import sys; sys.modules.update(dict.fromkeys({refused!r})); import {package}; print('fine')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "fine\n"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [("import embeddings", {"torch", "gensim"}), ("import transformer", {"torch", "gensim"}),
     ("import pipeline", {"torch", "gensim", "numpy"}), ("import vecformer", {"torch", "gensim", "numpy"}),
     ("import pipeline.config", {"torch", "gensim"}), ("import pipeline.benchmark.grid", {"torch", "gensim"}),
     ("import pipeline.runs.chain", {"sklearn", "gensim", "matplotlib"})],
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
    assert (RunConfig().recipe, RunConfig().source) == ("auto", "auto")  # chosen from the data
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


def test_positions_inside_attention_are_three_files():
    """ALiBi as the example of CONTRIBUTING.md: configuration, module, and its name in the inspection."""
    found = {str(file.relative_to(ROOT)) for file in (ROOT / "transformer").rglob("*.py")
             if "alibi" in file.read_text(encoding="utf-8").lower()}
    assert found == {"transformer/config.py", "transformer/layers/positions.py", "transformer/inspect/census.py"}
