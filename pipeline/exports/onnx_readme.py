"""The ``README.md`` of a folder with an ONNX graph."""

from __future__ import annotations

from typing import Any

from pipeline.exports.onnx_check import Comparison

EXAMPLES = {
    "classification": ("predict([\"A text.\"])", "the label, and the probability of every label"),
    "multi-label": ("predict([\"A text.\"])", "the labels, and the probability of every label"),
    "regression": ("predict([\"A text.\"])", "the value"),
    "tagging": ("predict([\"Anna lives in Paris.\"])", "the words, their tags and the entities"),
    "question-answering": ("predict([\"Where is it?\"], [\"It is in Paris.\"])",
                           "the answer, its position in characters and its probability"),
    "language-model": ("predict([\"once upon a\"])", "the most probable next words"),
    "masked-language-model": ("predict([\"once <mask> a time\"])", "the most probable words for each <mask>"),
}
PAIRS = "predict([\"A text.\"], [\"Another text.\"])"
INPUTS = {
    "input_ids": "ids of the tokens, 0 for padding. int64, (batch, length)",
    "token_type_ids": "token types. int64, (batch, length)",
    "ngram_buckets": "distinct buckets of the n-grams of the text. int64, (batch, n-grams)",
    "ngram_counts": "count of each, 0 for padding. float32, (batch, n-grams)",
    "feature_buckets": "buckets of the features of each word. int64, (batch, length, features)",
}


def agreed_in_words(share: float, difference: float | None) -> str:
    """Describe the agreement of the int8 graph."""
    numbers = "" if difference is None else f"; probabilities or values differ by at most {difference:.2g}"
    return f"the same prediction for {share:.1%} of the texts{numbers}"


def readme(config: dict[str, Any], found: Comparison, agreed: tuple[float, float | None] | None) -> str:
    """Describe a folder, with an example that requires only numpy, onnxruntime and tokenizers.

    Args:
        config: content of ``config.json``.
        found: comparison with the run.
        agreed: agreement of the int8 graph, and the difference of its probabilities; None without one.
    """
    call, returned = EXAMPLES[config["task"]]
    inputs = "\n".join(f"| `{name}` | {INPUTS[name]}; padding is {padding} |"
                       for name, padding in config["inputs"].items())
    small = "" if agreed is None else f"""
`model_int8.onnx` has int8 weights: `Model(folder, "model_int8.onnx")`. On these texts, it has
{agreed_in_words(*agreed)}.
"""
    return f"""# A vecformer model ({config["task"]}) for ONNX Runtime

```bash
pip install numpy onnxruntime tokenizers
```

```python
import sys

folder = "."                # this folder
sys.path.insert(0, folder)  # for vecformer_onnx.py
from vecformer_onnx import Model

model = Model(folder)
for prediction in model.{PAIRS if config["pairs"] else call}:
    print(prediction)
```

It returns {returned}. `model.encode` and `model.run` compute the
inputs and the scores without decisions.

`model.onnx` uses opset {config["opset"]}. Batch size and length are free, up to {config["max_length"]} tokens. Its
output `logits` has one row for each {"token" if config["per_token"] else "text"}.

| input | content |
|---|---|
{inputs}

Before it was written, it was compared with the run on {found.texts.described}: the predictions were equal, and scores
differed by at most {found.difference:.1e}.
{small}"""
