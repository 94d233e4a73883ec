"""What Word2Vec and FastText share: their options, the text written out once, gensim trained on it, progress told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from annotated_types import Ge, Gt, Le

from embeddings.errors import CorpusError, EmbeddingError
from embeddings.formats.cache import content_hash
from embeddings.formats.to_table import read_file
from embeddings.gensim_training.resume import initialize_from
from embeddings.gensim_training.shared_cache import train_once
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.tokenization.corpus import tokenized_file

OF_A_FILE = ("path", "limit")
RENAMED = {"dim": "vector_size", "max_vocab": "max_final_vocab", "buckets": "bucket"}
"""What gensim calls by another name."""


class TrainedVectors(NamedTuple):
    """What training gives.

    Attributes:
        model: gensim's, with all that going on with the training needs.
        table: the words and vectors.
    """

    model: Any
    table: EmbeddingTable


@dataclass(frozen=True)
class TrainingOptions(ABC):
    """Options of both. With a path nothing is trained: the file's vectors are taken.

    Attributes:
        path: a file of vectors in any format.
        limit: read no more than this many rows of it; such files list frequent words first.
        start: a file of vectors to go on from; its words stay, and those of the text join them.
        dim: width of a vector.
        epochs: passes over the text.
        window: words to either side that count as context.
        shrink_windows: draw the window for each word, 1 to ``window``, so that near words count for more.
        min_count: leave out words that stand more rarely.
        max_vocab: keep no more than this many words, by leaving out those that stand more rarely still.
        sg: 1 for skip-gram, 0 for CBOW.
        cbow_mean: CBOW predicts from the mean of the context (1) or from its sum (0).
        negative: noise words drawn for each pair.
        ns_exponent: noise words are drawn by their frequency to this power.
        hs: 1 for hierarchical softmax beside the noise words, or in their place with ``negative=0``.
        sample: words above this share of the text are thinned out; 0 for none.
        alpha: learning rate at the beginning.
        min_alpha: learning rate at the end.
        workers: threads; with more than one the same seed no longer gives the same vectors. By default one in a run,
            and every core in ``embed train``.
    """

    name: ClassVar[str]

    path: Path | None = None
    limit: Annotated[int, Ge(1)] | None = None
    start: Path | None = None
    dim: Annotated[int, Ge(1)] = 100
    epochs: Annotated[int, Ge(1)] = 10
    window: Annotated[int, Ge(1)] = 5
    shrink_windows: bool = True
    min_count: Annotated[int, Ge(1)] = 2
    max_vocab: Annotated[int, Ge(1)] | None = None
    sg: Annotated[int, Ge(0), Le(1)] = 1
    cbow_mean: Annotated[int, Ge(0), Le(1)] = 1
    negative: Annotated[int, Ge(0)] = 5
    ns_exponent: Annotated[float, Ge(-2), Le(2)] = 0.75
    hs: Annotated[int, Ge(0), Le(1)] = 0
    sample: Annotated[float, Ge(0)] = 1e-3
    alpha: Annotated[float, Gt(0), Le(1)] = 0.025
    min_alpha: Annotated[float, Ge(0)] = 0.0001
    workers: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        if self.path is None and self.limit is not None:
            raise ValueError(f"limit= goes with a file: {self.name}:FILE,limit={self.limit}")
        changed = [f"{item.name}=" for item in fields(self)
                   if item.name not in OF_A_FILE and getattr(self, item.name) != item.default]
        if self.path is not None and changed:
            raise ValueError(f"{', '.join(changed)} would train, but {self.path} is read as it is: leave out either")
        if not self.negative and not self.hs:
            raise ValueError("negative=0 leaves nothing to learn from: add hs=1")
        if self.min_alpha > self.alpha:
            raise ValueError(f"min_alpha={self.min_alpha} is more than alpha={self.alpha}")

    def settings(self) -> dict[str, Any]:
        """The options of training, as gensim calls them."""
        kept = {item.name: getattr(self, item.name) for item in fields(self)
                if item.name not in (*OF_A_FILE, "start", "workers")}
        return {RENAMED.get(name, name): value for name, value in kept.items()} | {"workers": self.workers or 1}

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the file, or train on the request's texts; each word that stands often enough gets a vector."""
        if self.path is not None:
            return read_file(str(self.path), self.limit, request, f"{self.name}:{self.path}")
        if request.shared is None:
            return self.train(request).table
        start = None if self.start is None else content_hash(self.start)
        settings = {"name": self.name, "start_content": start, **asdict(self)}
        return train_once(settings, request, lambda: self.train(request).table)

    @abstractmethod
    def train(self, request: VectorRequest) -> TrainedVectors:
        """Train on the request's texts.

        Raises:
            EmbeddingError: if the request has no texts, or ``start`` is not in order.
            CorpusError: if they hold no words, or none stands as often as ``min_count`` asks.
        """


def train(options: TrainingOptions, request: VectorRequest, model_class: Callable[..., Any]) -> Any:
    """Write the request's texts to a file, cut into words, and train a gensim model on it.

    The words are counted on the way, which spares gensim its own reading of the file for that.

    Returns:
        The trained model.

    Raises:
        EmbeddingError: as :meth:`TrainingOptions.train` says.
    """
    name = options.name
    if request.texts is None:
        raise EmbeddingError(f"the source {name!r} learns from text: give some with --corpus FILES, or texts=[…]")
    model = model_class(**options.settings(), seed=request.seed)
    if options.start is not None:
        initialize_from(model, options.start, request, name)
    reading = f"reading text for {name}"
    request.progress(reading, 0.0)
    with tokenized_file(request.texts, request.tokenizer, lambda share: request.progress(reading, share)) as text:
        request.progress(reading, 1.0)
        model.build_vocab_from_freq(text.counts, corpus_count=text.n_lines, update=options.start is not None)
        model.corpus_total_words = text.counts.total()
        if max(text.counts.values()) < model.effective_min_count:
            raise CorpusError(
                f"no word stands {model.effective_min_count} times in the text that {name} is to learn from: "
                f"give more text with --corpus FILES, or write {name},min_count=1"
            )
        model.train(
            corpus_file=str(text.path), total_examples=model.corpus_count, total_words=model.corpus_total_words,
            epochs=model.epochs, callbacks=[_epoch_teller(request, f"training {name}", model.epochs)],
        )
    return model


def _epoch_teller(request: VectorRequest, what: str, epochs: int) -> Any:
    """Make gensim tell the request's progress function of each finished epoch."""
    from gensim.models.callbacks import CallbackAny2Vec  # a second to import

    class TellEpochs(CallbackAny2Vec):  # type: ignore[misc]  # gensim is not typed
        done = 0

        def on_epoch_end(self, _model: Any) -> None:
            self.done += 1
            request.progress(what, self.done / epochs)

    request.progress(what, 0.0)
    return TellEpochs()
