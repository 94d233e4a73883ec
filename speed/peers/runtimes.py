"""Time one prediction by ONNX Runtime or OpenVINO in this process, on the texts of a file.

usage: python speed/peers/runtimes.py FILE --model FOLDER --work FOLDER --runtime NAME [--precision float32]
       [--batch-size N] [--threads N] [--labels FILE]

The model is a BERT classifier with its tokenizer, in a folder of `transformers`. It is converted with
`torch.onnx.export`, for int8 quantised by the dynamic quantisation of ONNX Runtime or, with 300 of the texts, by the
post-training quantisation of NNCF, and kept in the folder `--work`. Texts are predicted in batches in the order of
their lengths. One text is predicted beforehand as a warm-up. Prints one line of JSON with the seconds of the
prediction, tokenization included, and documents per second; `--labels` is a file to write with the number of the label
of each text.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bert import read
from transformers import AutoModelForSequenceClassification, AutoTokenizer

INPUTS = ("input_ids", "attention_mask")
N_CALIBRATION = 300
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}

Encoded = dict[str, np.ndarray]
Model = Callable[[Encoded], np.ndarray]


def exported(model: Path, work: Path) -> Path:
    """Return the model as ONNX, converted if it has not been before."""
    made = work / "model.onnx"
    if not made.exists():
        classifier = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").eval()
        example = torch.ones(2, 8, dtype=torch.int64)
        axes = {name: {0: "batch", 1: "length"} for name in INPUTS} | {"logits": {0: "batch"}}
        torch.onnx.export(classifier, (example, example), made, input_names=list(INPUTS), output_names=["logits"],
                          dynamic_axes=axes, opset_version=17, dynamo=False)
    return made


def in_onnxruntime(model: Path, work: Path, precision: str, threads: int) -> Model:
    """Load the model in ONNX Runtime."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    file = exported(model, work)
    if precision == "int8":
        file, whole = work / "model_int8.onnx", file
        if not file.exists():
            quantize_dynamic(whole, file, weight_type=QuantType.QInt8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda encoded: session.run(None, encoded)[0]


def in_openvino(model: Path, work: Path, precision: str, threads: int, examples: Callable[[], Iterator[Encoded]]) -> (
        Model):
    """Load the model in OpenVINO."""
    import openvino

    core = openvino.Core()
    file = exported(model, work)
    if precision == "int8":
        file, whole = work / "model_int8.xml", file
        if not file.exists():
            import nncf

            quantised = nncf.quantize(core.read_model(whole), nncf.Dataset(list(examples())),
                                      model_type=nncf.ModelType.TRANSFORMER, subset_size=N_CALIBRATION)
            openvino.save_model(quantised, file, compress_to_fp16=False)
    options = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": threads,
               "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(file), "CPU", options)
    request = compiled.create_infer_request()

    def run(encoded: Encoded) -> np.ndarray:
        return np.array(next(iter(request.infer(encoded).values())))

    return run


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="texts and labels as JSON Lines")
    parser.add_argument("--model", type=Path, required=True, help="folder of transformers with a classifier")
    parser.add_argument("--work", type=Path, required=True, help="existing folder for converted models")
    parser.add_argument("--runtime", choices=("onnxruntime", "openvino"), required=True)
    parser.add_argument("--precision", choices=HINTS, default="float32")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--labels", type=Path, help="file to write")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    texts, _ = read(given.file)
    tokenizer: Any = AutoTokenizer.from_pretrained(given.model)

    def encode(some: list[str]) -> Encoded:
        made = tokenizer(some, padding=True, truncation=True, max_length=given.max_length, return_tensors="np")
        return {name: made[name].astype(np.int64) for name in INPUTS}

    if given.runtime == "onnxruntime":
        model = in_onnxruntime(given.model, given.work, given.precision, given.threads)
    else:
        model = in_openvino(given.model, given.work, given.precision, given.threads,
                            lambda: (encode([text]) for text in texts[:N_CALIBRATION]))
    model(encode(texts[:1]))
    labels = np.empty(len(texts), dtype=np.int64)
    start = time.perf_counter()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for first in range(0, len(texts), given.batch_size):
        rows = order[first : first + given.batch_size]
        labels[rows] = model(encode([texts[i] for i in rows])).argmax(axis=1)
    seconds = time.perf_counter() - start
    if given.labels:
        given.labels.write_text(json.dumps(labels.tolist()), encoding="utf-8")
    print(json.dumps({"seconds": seconds, "documents": len(texts), "documents_per_second": len(texts) / seconds}))


if __name__ == "__main__":
    main()
