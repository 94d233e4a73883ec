"""What Word2Vec and FastText share: the text written out once, gensim trained on it, progress told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gensim.models.callbacks import CallbackAny2Vec

from embeddings.corpus import tokenized_file
from embeddings.errors import CorpusError, EmbeddingError
from embeddings.sources.request import VectorRequest


class TellEpochs(CallbackAny2Vec):  # type: ignore[misc]  # gensim is not typed
    """Pass each finished epoch on to a progress function."""

    def __init__(self, request: VectorRequest, what: str, epochs: int) -> None:
        self.request, self.what, self.epochs, self.done = request, what, epochs, 0
        request.progress(what, 0.0)

    def on_epoch_end(self, model: Any) -> None:
        """Count an epoch."""
        self.done += 1
        self.request.progress(self.what, self.done / self.epochs)


@contextmanager
def corpus_file(request: VectorRequest, name: str) -> Iterator[Path]:
    """The request's texts as a file for gensim.

    Raises:
        EmbeddingError: if the request has no texts.
    """
    if request.texts is None:
        raise EmbeddingError(f"the source {name!r} learns from text: give some with --corpus FILES, or texts=[…]")
    request.progress(f"reading text for {name}", 0.0)
    with tokenized_file(request.texts, request.tokenizer) as path:
        yield path


def build_and_train(model: Any, path: Path, request: VectorRequest, name: str) -> None:
    """Count the words and train.

    Raises:
        CorpusError: if no word stands as often as ``min_count`` asks.
    """
    model.build_vocab(corpus_file=str(path))
    if not len(model.wv):
        raise CorpusError(
            f"no word stands {model.min_count} times in the text that {name} is to learn from: "
            f"give more text with --corpus FILES, or write {name},min_count=1"
        )
    model.train(
        corpus_file=str(path),
        total_examples=model.corpus_count,
        total_words=model.corpus_total_words,
        epochs=model.epochs,
        callbacks=[TellEpochs(request, f"training {name}", model.epochs)],
    )
