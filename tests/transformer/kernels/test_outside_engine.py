"""An engine in another package, registered by an entry point."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

ENGINE = '''
from transformer.kernels.engine import TORCH, engine, use


@engine
class Counting:
    """Counts the calls and computes them in plain PyTorch."""

    name, priority, calls = "counting", 100, 0

    def describe(self):
        return "counting"

    def reasons_against(self, stack, call):
        return ["the decoder is not counted"] if stack.causal else []

    def run(self, stack, ids, token_types, needs):
        Counting.calls += 1
        with use(TORCH):
            return stack(ids, token_types, needs=needs)
'''

USE = """
import torch
from transformer import ModelConfig, Encoder, TokenEmbedding, kernels
from transformer.kernels.engine import engines
stack = Encoder(config=ModelConfig(d_model=16), embedding=TokenEmbedding(n_words=9, dim=16, d_model=16))
stack(torch.tensor([[5, 6]]))
print(engines()[0].calls, kernels.describe_engines(stack)[0])
"""


def run(folder, code):
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path})


def installed(tmp_path, code):
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vecformer.engines]\ncounting = outside_engine\n")
    (tmp_path / "outside_engine.py").write_text(code)
    return tmp_path


def test_engine_of_another_package_is_used(tmp_path):
    done = run(installed(tmp_path, ENGINE), USE)
    assert done.stdout == "1 encoder: counting\n", done.stderr


def test_engine_that_cannot_be_imported_raises_with_its_package(tmp_path):
    done = run(installed(tmp_path, "import nonexistent_module"), USE)
    assert "the engine 'counting' of outside cannot be imported" in done.stderr
    assert "pip uninstall outside" in done.stderr
