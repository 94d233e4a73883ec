"""What Word2Vec and FastText share: their options, the text written out once, gensim trained on it, progress told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from annotated_types import Ge

from embeddings.corpus import tokenized_file
from embeddings.errors import CorpusError, EmbeddingError
from embeddings.sources.request import VectorRequest


@dataclass(frozen=True)
class TrainingOptions:
    """Options of both.

    Attributes:
        dim: width of a vector.
        epochs: passes over the text.
        window: words to either side that count as context.
        min_count: leave out words that stand more rarely.
        negative: noise words drawn for each pair.
        sg: 1 for skip-gram, 0 for CBOW.
        sample: words above this share of the text are thinned out.
        workers: threads; with more than one the same seed no longer gives the same vectors.
    """

    dim: Annotated[int, Ge(1)] = 100
    epochs: Annotated[int, Ge(1)] = 10
    window: Annotated[int, Ge(1)] = 5
    min_count: Annotated[int, Ge(1)] = 2
    negative: Annotated[int, Ge(1)] = 5
    sg: Annotated[int, Ge(0)] = 1
    sample: Annotated[float, Ge(0)] = 1e-3
    workers: Annotated[int, Ge(1)] = 1


def train(
    options: TrainingOptions, request: VectorRequest, *, name: str, model_class: Callable[..., Any], **renamed: str
) -> Any:
    """Write the request's texts to a file, cut into words, and train a gensim model on it.

    Args:
        options: passed on to gensim by name.
        request: whose texts are learned from.
        name: the source's, for messages.
        model_class: gensim's class.
        renamed: options that gensim calls otherwise (beside ``dim``, its ``vector_size``).

    Returns:
        The trained model.

    Raises:
        EmbeddingError: if the request has no texts.
        CorpusError: if they hold no words, or none stands as often as ``min_count`` asks.
    """
    if request.texts is None:
        raise EmbeddingError(f"the source {name!r} learns from text: give some with --corpus FILES, or texts=[…]")
    renamed = {"dim": "vector_size", **renamed}
    settings = {renamed.get(key, key): value for key, value in asdict(options).items()}
    model = model_class(**settings, seed=request.seed)
    request.progress(f"reading text for {name}", 0.0)
    with tokenized_file(request.texts, request.tokenizer) as path:
        model.build_vocab(corpus_file=str(path))
        request.progress(f"reading text for {name}", 1.0)
        if not len(model.wv):
            raise CorpusError(
                f"no word stands {options.min_count} times in the text that {name} is to learn from: "
                f"give more text with --corpus FILES, or write {name},min_count=1"
            )
        model.train(
            corpus_file=str(path), total_examples=model.corpus_count, total_words=model.corpus_total_words,
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
