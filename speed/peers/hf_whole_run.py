"""Train and evaluate a BERT with random weights by Hugging Face's Trainer, from files to measures and a saved model.

usage: python speed/peers/hf_whole_run.py FOLDER --epochs N [--d-model N ...] [--bfloat16]

FOLDER has `train.jsonl`, `dev.jsonl` and `test.jsonl`. The epoch with the best accuracy on dev is kept; accuracy and
macro-F1 are those on the test set. Prints one line of JSON with both.
"""

from __future__ import annotations

import json
import tempfile

import bert
import numpy as np
import torch
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments


def measures(gold: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the accuracy and the mean F1 of the labels."""
    of_label = []
    for label in np.unique(gold):
        both = ((gold == label) & (predicted == label)).sum()
        of_label.append(2 * both / ((gold == label).sum() + (predicted == label).sum()))
    return {"accuracy": float((gold == predicted).mean()), "macro_f1": float(np.mean(of_label))}


def main() -> None:
    """Print one line of JSON."""
    parser = bert.parser(__doc__)
    parser.add_argument("--epochs", type=int, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    parts = {part: bert.read(given.file / f"{part}.jsonl") for part in ("train", "dev", "test")}
    tokenizer = bert.word_tokenizer(parts["train"][0])
    numbers = {label: number for number, label in enumerate(sorted(set(parts["train"][1])))}
    examples = {}
    for part, (texts, labels) in parts.items():
        ids = tokenizer(texts, truncation=True, max_length=given.max_length)["input_ids"]
        examples[part] = [{"input_ids": row, "labels": numbers[label]} for row, label in zip(ids, labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        how = TrainingArguments(
            folder, num_train_epochs=given.epochs, per_device_train_batch_size=given.batch_size, use_cpu=True,
            per_device_eval_batch_size=64, bf16=given.bfloat16, report_to=[], eval_strategy="epoch", save_total_limit=1,
            save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="accuracy", disable_tqdm=True)
        trainer = Trainer(bert.classifier(tokenizer, len(numbers), given), how, DataCollatorWithPadding(tokenizer),
                          examples["train"], examples["dev"],
                          compute_metrics=lambda found: measures(found.label_ids, found.predictions.argmax(axis=-1)))
        trainer.train()
        found = trainer.predict(examples["test"])
        trainer.save_model(f"{folder}/model")
        print(json.dumps(measures(found.label_ids, found.predictions.argmax(axis=-1))))


if __name__ == "__main__":
    main()
