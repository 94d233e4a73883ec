"""Loading a large checkpoint needs little more memory than its weights."""

import json
import subprocess
import sys

import pytest

GB = 2**30
MAX_FACTOR = 1.3  # peak memory beyond that of the imports, relative to the weights in float32
CONFIGS = {
    "bert": {"model_type": "bert", "vocab_size": 60_000, "hidden_size": 1024, "num_hidden_layers": 16,
             "num_attention_heads": 16, "intermediate_size": 4096, "max_position_embeddings": 512},
    "gpt2": {"model_type": "gpt2", "vocab_size": 60_000, "n_embd": 1024, "n_layer": 16, "n_head": 16,
             "n_positions": 512},
}
COMMON = """
import json, sys, torch
from pathlib import Path
from transformer import kernels
from transformer.pretrained.architecture import known_architectures
from transformer.pretrained.body import load_stack, read_body
folder, name, layout = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
"""
WRITE = COMMON + """
import numpy, transformers
from safetensors.torch import save_file
given = json.loads((folder / "config.json").read_text())
with torch.device("meta"):
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**given))
random = numpy.random.default_rng(0)
dtype = torch.bfloat16 if "bfloat16" in layout else torch.float32
weights = {name: torch.from_numpy(0.02 * random.standard_normal(weight.shape, numpy.float32)).to(dtype)
           for name, weight in model.state_dict().items()}
if "pickle" in layout:
    torch.save(weights, folder / "pytorch_model.bin")
else:
    save_file(weights, folder / "model.safetensors")
"""
LOAD = COMMON + """
def memory(key):
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))

known_architectures()
kernels.engine.engines()
before = memory("VmRSS")
stack = load_stack(read_body(folder, trust_pickle="pickle" in layout))
with torch.no_grad(), kernels.use("torch"):
    hidden = stack(torch.tensor([[5, 6, 7]])).hidden
    total = sum(float(weight.sum()) for weight in stack.parameters())  # every page is read
assert hidden.isfinite().all()
n_bytes = sum(weight.nbytes for weight in stack.parameters())
print(json.dumps({"n_bytes": n_bytes, "peak": memory("VmHWM") - before}))
"""


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), [("bert", "float32"), ("gpt2", "float32"), ("bert", "bfloat16"),
                                              ("bert", "pickle"), ("gpt2", "pickle")])
def test_peak_memory_of_loading(name, layout, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS[name]))
    run(WRITE, tmp_path, name, layout)
    found = json.loads(run(LOAD, tmp_path, name, layout))
    print(f"{name}, {layout}: {found['peak'] / found['n_bytes']:.3f} times {found['n_bytes'] / GB:.2f} GB")
    assert found["n_bytes"] > 0.9 * GB
    assert found["peak"] <= MAX_FACTOR * found["n_bytes"]
