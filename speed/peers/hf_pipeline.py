"""Time one prediction by Hugging Face's text-classification pipeline in this process, on the texts of a file.

usage: python speed/peers/hf_pipeline.py FILE [--batch-size N] [--d-model N ...] [--checkpoint FOLDER] [--bfloat16]

The model is a BERT with random weights, which does not affect the speed, or that of a checkpoint. One text is
predicted beforehand as a warm-up. Prints one line of JSON with the seconds of the call, tokenization included, and
documents per second.
"""

from __future__ import annotations

import json
import time

import bert
import torch
from transformers import AutoTokenizer, BertForSequenceClassification, pipeline


def main() -> None:
    """Print one line of JSON."""
    parser = bert.parser(__doc__)
    parser.add_argument("--checkpoint", help="folder with a BERT and its tokenizer")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    texts, labels = bert.read(given.file)
    if given.checkpoint:
        tokenizer = AutoTokenizer.from_pretrained(given.checkpoint)
        model = BertForSequenceClassification.from_pretrained(given.checkpoint, num_labels=len(set(labels)))
    else:
        tokenizer = bert.word_tokenizer(texts)
        model = bert.classifier(tokenizer, len(set(labels)), given)
    model = model.to(torch.bfloat16 if given.bfloat16 else torch.float32)
    classify = pipeline("text-classification", model=model.eval(), tokenizer=tokenizer, device="cpu",
                        batch_size=given.batch_size)
    truncation = {"truncation": True, "max_length": given.max_length}
    classify(texts[:1], **truncation)
    start = time.perf_counter()
    answers = classify(texts, **truncation)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "documents": len(answers), "documents_per_second": len(answers) / seconds}))


if __name__ == "__main__":
    main()
