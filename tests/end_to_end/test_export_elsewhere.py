"""The exported answerer in a process that cannot import this project, by the snippet that everybody knows."""

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from pipeline.cli.main import cli

QUESTIONS = Path(__file__).parents[2] / "data" / "questions"

ELSEWHERE = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("embeddings", "transformer", "pipeline", "vecformer"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Without())
try:
    import pipeline
except ImportError:
    pass
else:
    sys.exit("the project can be imported")

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForQuestionAnswering.from_pretrained(sys.argv[1])
inputs = tokenizer("Where is the Eiffel Tower located?", "The Eiffel Tower is located in Paris.", return_tensors="pt")
with torch.no_grad():
    outputs = model(**inputs)
start, end = outputs.start_logits.argmax(), outputs.end_logits.argmax()
print(type(model).__name__, tokenizer.decode(inputs["input_ids"][0][start : end + 1]))
"""


def test_the_answer_comes_out_right(tmp_path):
    out = tmp_path / "run"
    for args in (["run", "--task", "question-answering", "--data", QUESTIONS, "--source", "glove", "--set",
                  "model.like=bert", "--out", out], ["export", out, "--to", "hf", "--out", tmp_path / "exported"]):
        made = CliRunner().invoke(cli, list(map(str, args)))
        assert made.exit_code == 0, made.output
    done = subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, str(tmp_path / "exported")], cwd=tmp_path,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "BertForQuestionAnswering paris"
