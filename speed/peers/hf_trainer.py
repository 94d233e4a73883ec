"""Time one training by Hugging Face's Trainer in this process: a BERT with random weights on the texts of a file.

usage: python speed/peers/hf_trainer.py FILE [--d-model N ...] [--bfloat16]

Tokenization is done beforehand; evaluation, saving and logging are disabled. Prints one line of JSON with the seconds
of `train`, the number of tokens (without truncated and padding tokens), and the size of the vocabulary.
"""

from __future__ import annotations

import json
import tempfile
import time

import bert
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments


def main() -> None:
    """Print one line of JSON."""
    given = bert.parser(__doc__).parse_args()
    torch.set_num_threads(given.threads)
    texts, labels = bert.read(given.file)
    tokenizer = bert.word_tokenizer(texts)
    numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    ids = tokenizer(texts, truncation=True, max_length=given.max_length)["input_ids"]
    examples = [{"input_ids": row, "labels": numbers[label]} for row, label in zip(ids, labels, strict=True)]
    model = bert.classifier(tokenizer, len(numbers), given)
    with tempfile.TemporaryDirectory() as folder:
        how = TrainingArguments(folder, num_train_epochs=1, per_device_train_batch_size=given.batch_size, use_cpu=True,
                                bf16=given.bfloat16, report_to=[], save_strategy="no", logging_strategy="no",
                                disable_tqdm=True)
        start = time.perf_counter()
        Trainer(model, how, DataCollatorWithPadding(tokenizer), examples).train()
        seconds = time.perf_counter() - start
    tokens = sum(map(len, ids))
    print(json.dumps({"seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds,
                      "vocabulary": len(tokenizer)}))


if __name__ == "__main__":
    main()
