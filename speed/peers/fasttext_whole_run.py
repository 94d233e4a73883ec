"""Train and evaluate fastText's classifier, from files to measures and a saved model.

usage: python speed/peers/fasttext_whole_run.py FOLDER --epochs N --threads N

FOLDER has `train.jsonl` and `test.jsonl`. The vectors have 64 dimensions; pairs of words are hashed to 2^18 buckets.
Prints one line of JSON with the accuracy on the test set.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fasttext

MARK = "__label__"


def examples(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the texts, in lower case and on one line, and the labels."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield " ".join(row["text"].lower().split()), row["label"].replace(" ", "_")


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.txt"
        with train.open("w", encoding="utf-8") as file:
            file.writelines(f"{MARK}{label} {text}\n" for text, label in examples(given.folder / "train.jsonl"))
        model = fasttext.train_supervised(str(train), epoch=given.epochs, dim=64, wordNgrams=2,
                                          bucket=2**18, thread=given.threads, verbose=0)
        test = list(examples(given.folder / "test.jsonl"))
        predicted, _ = model.predict([text for text, _ in test])
        model.save_model(f"{folder}/model.bin")
    correct = [one[0] == MARK + label for one, (_, label) in zip(predicted, test, strict=True)]
    print(json.dumps({"accuracy": sum(correct) / len(correct)}))


if __name__ == "__main__":
    main()
