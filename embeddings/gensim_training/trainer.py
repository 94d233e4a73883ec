"""Training of Word2Vec and FastText by gensim: options, tokenized text on disk, progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from embeddings.errors import CorpusError, EmbeddingError
from embeddings.formats.cache import content_hash
from embeddings.formats.to_table import read_file
from embeddings.gensim_training.resume import initialize_from
from embeddings.gensim_training.shared_cache import train_once
from embeddings.request import Origin, VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.table.arguments import argument
from embeddings.table.paths import utf8_path, written
from embeddings.tokenization.corpus import tokenized_file

FILE_OPTIONS = ("path", "limit")
GENSIM_NAMES = {"dim": "vector_size", "max_vocab": "max_final_vocab", "buckets": "bucket"}
"""Options that have another name in gensim."""


class TrainedVectors(NamedTuple):
    """Result of a training.

    Attributes:
        model: the gensim model, with everything that is needed to continue the training.
        table: the words and vectors.
    """

    model: Any
    table: EmbeddingTable


@dataclass(frozen=True)
class TrainingOptions(ABC):
    """Options of Word2Vec and FastText. With a path nothing is trained; the vectors of the file are read."""

    name: ClassVar[str]

    path: Annotated[Path | None, Field(description=(
        "vector file in any format, which is read instead of training; default: train"))] = None
    limit: Annotated[int | None, Field(ge=1, description=(
        "maximum number of rows to read from the file, such as 100000; the most frequent words come first"))] = None
    start: Annotated[Path | None, Field(description=(
        "vector file to continue training from, such as vectors.safetensors; words of the text are added"))] = None
    dim: Annotated[int, Field(ge=1, description="dimension of the vectors, such as 300")] = 100
    epochs: Annotated[int, Field(ge=1, description="passes over the text, such as 5")] = 10
    window: Annotated[int, Field(ge=1, description="context words on each side, such as 5")] = 5
    shrink_windows: Annotated[bool, Field(description=(
        "draw the window size of each word uniformly from 1 to window, which weights near words more (true, false)"))
    ] = True
    min_count: Annotated[int, Field(ge=1, description="words with fewer occurrences are ignored, such as 5")] = 2
    max_vocab: Annotated[int | None, Field(ge=1, description=(
        "maximum number of words, such as 200000; the rarest are ignored; default: no maximum"))] = None
    sg: Annotated[int, Field(ge=0, le=1, description="training algorithm: 1 for skip-gram, 0 for CBOW")] = 1
    cbow_mean: Annotated[int, Field(ge=0, le=1, description=(
        "CBOW predicts from the mean (1) or the sum (0) of the context vectors"))] = 1
    negative: Annotated[int, Field(ge=0, description=(
        "negative samples per positive pair, such as 5 to 20; 0 disables negative sampling"))] = 5
    ns_exponent: Annotated[float, Field(ge=-2, le=2, description=(
        "exponent of the word frequencies in the noise distribution; 0.75 in the paper, 0 for uniform"))] = 0.75
    hs: Annotated[int, Field(ge=0, le=1, description=(
        "1 for hierarchical softmax, in addition to negative sampling unless negative=0"))] = 0
    sample: Annotated[float, Field(ge=0, description=(
        "relative frequency above which words are randomly subsampled, such as 1e-5; 0 disables subsampling"))] = 1e-3
    alpha: Annotated[float, Field(gt=0, le=1, description="initial learning rate, such as 0.025")] = 0.025
    min_alpha: Annotated[float, Field(ge=0, description="final learning rate, such as 0.0001")] = 0.0001
    workers: Annotated[int | None, Field(ge=1, description=(
        "training threads, such as 8; results are reproducible with 1 only; default: 1, in `embed train` one per core"))
    ] = None

    def __post_init__(self) -> None:
        if self.path is None and self.limit is not None:
            raise ValueError(f"limit= needs a file: write {self.name}:FILE,limit={self.limit}")
        changed = [f"{item.name}=" for item in fields(self)
                   if item.name not in FILE_OPTIONS and getattr(self, item.name) != item.default]
        if self.path is not None and changed:
            raise ValueError(f"{', '.join(changed)} applies to training, but {self.path} is read without training: "
                             "leave out one of them")
        if not self.negative and not self.hs:
            raise ValueError("negative=0 without hs=1 leaves no training objective: add hs=1")
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha={self.min_alpha} is greater than alpha={self.alpha}")

    def settings(self) -> dict[str, Any]:
        """Return the training options under their names in gensim."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)
                if item.name not in (*FILE_OPTIONS, "start", "workers")}
        return {GENSIM_NAMES.get(name, name): value for name, value in kept.items()} | {"workers": self.workers or 1}

    def origins(self) -> list[Origin]:
        """Return the file, or the texts of the run; the vectors of ``start`` have an origin of their own."""
        if self.path is not None:
            return [Origin(f"the file {written(self.path)}")]
        trained = Origin(f"{self.name}, trained on the texts of the run", "that of these texts")
        return [trained] if self.start is None else [trained, Origin(f"continued from the file {written(self.start)}")]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the file, or train on the request's texts."""
        if self.path is not None:
            return read_file(str(self.path), self.limit, request, f"{self.name}:{written(self.path)}")
        if request.shared is None:
            return self.train(request).table
        start = None if self.start is None else content_hash(self.start)
        settings = {"name": self.name, "start_content": start, **asdict(self)}
        return train_once(settings, request, lambda: self.train(request).table)

    @abstractmethod
    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts.

        Raises:
            EmbeddingError: if the request has no texts, gensim cannot be imported, or ``start`` is invalid.
            CorpusError: if the texts contain no words, or none occurs ``min_count`` times.
        """


def train(options: TrainingOptions, request: VectorRequest, model_class: str) -> Any:
    """Write the tokenized texts of the request to a file, and train a gensim model on it.

    Words are counted while the file is written, which saves gensim one pass over it.

    Args:
        options: the training options.
        request: supplies texts, tokenizer, seed and progress callback.
        model_class: name of a class of ``gensim.models``.

    Returns:
        The trained model.

    Raises:
        EmbeddingError: as :meth:`TrainingOptions.train`.
    """
    name = options.name
    if request.texts is None:
        raise EmbeddingError(f"the source {name!r} is trained on text: name files with {argument('corpus')}, or "
                             "pass texts=…")
    model = _model_class(model_class)(**options.settings(), seed=request.seed)
    if options.start is not None:
        initialize_from(model, options.start, request, name)
    reading = f"reading text for {name}"
    request.progress(reading, 0.0)
    with tokenized_file(request.texts, request.tokenizer, partial(request.progress, reading)) as text:
        request.progress(reading, 1.0)
        model.build_vocab_from_freq(text.counts, corpus_count=text.n_lines, update=options.start is not None)
        model.corpus_total_words = text.counts.total()
        if max(text.counts.values()) < model.effective_min_count:
            raise CorpusError(
                f"no word occurs {model.effective_min_count} times in the training text of {name}: "
                f"add text with {argument('corpus', 'FILES')}, or write {name},min_count=1"
            )
        with utf8_path(text.path) as corpus:
            model.train(
                corpus_file=str(corpus), total_examples=model.corpus_count, total_words=model.corpus_total_words,
                epochs=model.epochs, callbacks=[_epoch_callback(request, f"training {name}", model.epochs)],
            )
    return model


def _model_class(name: str) -> Callable[..., Any]:
    try:
        from gensim import models  # takes a second to import
    except Exception as error:  # a broken installation raises exceptions of any class
        raise EmbeddingError(f"training vectors needs the package gensim, which cannot be imported ({error}); type: "
                             "pip install --force-reinstall gensim") from error
    model_class: Callable[..., Any] = getattr(models, name)
    return model_class


def _epoch_callback(request: VectorRequest, what: str, epochs: int) -> Any:
    """Return a gensim callback that reports each finished epoch to the request's progress callback."""
    from gensim.models.callbacks import CallbackAny2Vec  # takes a second to import

    class ReportEpochs(CallbackAny2Vec):  # type: ignore[misc]  # gensim is not typed
        done = 0

        def on_epoch_end(self, _model: Any) -> None:
            self.done += 1
            request.progress(what, self.done / epochs)

    request.progress(what, 0.0)
    return ReportEpochs()
