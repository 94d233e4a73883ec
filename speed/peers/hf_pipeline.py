"""One prediction by a text-classification pipeline of Hugging Face, timed in this process, on the texts of one file.

usage: python speed/peers/hf_pipeline.py FILE [--batch-size N] [--d-model N ...] [--bfloat16]

The model is a BERT with random weights: what it answers does not matter to how long it takes. It answers one text
beforehand. Prints one line of JSON: seconds of the call, tokenising included, and documents a second.
"""

from __future__ import annotations

import json
import time

import bert
import torch
from transformers import pipeline


def main() -> None:
    """Print a JSON line."""
    given = bert.parser(__doc__).parse_args()
    torch.set_num_threads(given.threads)
    texts, labels = bert.read(given.file)
    tokenizer = bert.word_tokenizer(texts)
    model = bert.classifier(tokenizer, len(set(labels)), given).to(torch.bfloat16 if given.bfloat16 else torch.float32)
    classify = pipeline("text-classification", model=model.eval(), tokenizer=tokenizer, device="cpu",
                        batch_size=given.batch_size)
    cut = {"truncation": True, "max_length": given.max_length}
    classify(texts[:1], **cut)
    start = time.perf_counter()
    answers = classify(texts, **cut)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "documents": len(answers), "documents_per_second": len(answers) / seconds}))


if __name__ == "__main__":
    main()
