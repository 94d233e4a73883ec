"""A run from a large checkpoint needs little more memory than its weights before it is trained."""

import json
import subprocess
import sys

import pytest

GB = 2**30
MAX_FACTOR = 1.3  # peak memory beyond that of a run from a tiny checkpoint, relative to the weights in float32
SHAPES = {"tiny": (1000, 1), "many layers": (30_522, 32), "many tokens": (300_000, 4)}
"""Number of tokens and of layers."""
WRITE = """
import json, sys, numpy, torch, transformers
from pathlib import Path
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
folder, n_tokens, n_layers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
given = {"model_type": "bert", "vocab_size": n_tokens, "hidden_size": 768, "num_hidden_layers": n_layers,
         "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512}
(folder / "config.json").write_text(json.dumps(given))
with torch.device("meta"):
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**given))
random = numpy.random.default_rng(0)
save_file({name: torch.from_numpy(0.02 * random.standard_normal(weight.shape, numpy.float32))
           for name, weight in model.state_dict().items()}, folder / "model.safetensors")
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
words = [*special, *(f"w{i}" for i in range(n_tokens - len(special)))]
made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                    special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
made.save(str(folder / "tokenizer.json"))
"""
START = """
import json, sys
from pathlib import Path
from pipeline import RunConfig
from pipeline.runs.chain import _started_model, run_stage_one
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.recipe.choose import setup_for
from pipeline.tasks import base

folder, data, out = sys.argv[1:]
config = RunConfig.from_mapping({"recipe": "plain", "init_from": folder, "data": {"path": data}})
task = base.find(config.task)
splits = task.reader.read(config.data, seed=1)
setup = setup_for(config, task, splits)
model = _started_model(setup, task, run_stage_one(setup, task, splits, RunFolder(Path(out)), RunContext()))
peak = next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"n_bytes": sum(weight.nbytes for weight in model.parameters()), "peak": peak}))
"""


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measured(name, support, tmp_path):
    """Bytes of the weights, and peak memory of a process that starts a run from them."""
    folder, out = tmp_path / name, tmp_path / f"out of {name}"
    folder.mkdir()
    out.mkdir()
    run(WRITE, folder, *SHAPES[name])
    return json.loads(run(START, folder, support, out))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["many layers", "many tokens"])
def test_peak_memory_of_a_start(name, support, tmp_path):
    tiny, found = measured("tiny", support, tmp_path), measured(name, support, tmp_path)
    factor = (found["peak"] - tiny["peak"] + tiny["n_bytes"]) / found["n_bytes"]
    print(f"{name}: {factor:.3f} times {found['n_bytes'] / GB:.2f} GB; in all {found['peak'] / GB:.2f} GB")
    assert found["n_bytes"] > 0.9 * GB
    assert factor <= MAX_FACTOR
