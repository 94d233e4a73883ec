"""Stage one of a run: the vocabulary of the text, a vector for each word, and the coverage of the source."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings.analysis.coverage import Coverage, measure_coverage
from embeddings.request import VectorRequest
from embeddings.special_tokens import SPECIAL_TOKENS
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING, OOVPolicy, is_known, parse_policy
from embeddings.table.paths import from_written
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.transforms import apply_transforms
from pipeline.config import RunConfig
from pipeline.data.corpus import TextCorpus
from pipeline.runs.context import RunContext
from pipeline.runs.coverage_advice import coverage_advice
from pipeline.runs.scale_advice import scale_advice
from pipeline.runs.tokenizer import make_tokenizer, vocabulary_of

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class StageOne:
    """The result of stage one.

    Attributes:
        tokenizer: tokenizer with the training vocabulary.
        table: vectors of the training vocabulary, in the order of the ids, followed by those of further words.
        target: the same for the output text, if it has a separate vocabulary (translation).
    """

    tokenizer: TextTokenizer
    table: EmbeddingTable
    target: StageOne | None = None

    @property
    def sides(self) -> tuple[StageOne, ...]:
        """The input, and the output if it has a separate vocabulary."""
        return (self, self.target) if self.target else (self,)

    @property
    def start(self) -> EmbeddingTable:
        """The rows of the training vocabulary."""
        n_words = len(self.tokenizer) - len(SPECIAL_TOKENS)
        return self.table.where(row < n_words for row in range(len(self.table)))


def prepare_vectors(
    config: RunConfig,
    *,
    train: Sequence[Text],
    held_out: Sequence[Text],
    unlabelled: Sequence[Text],
    context: RunContext,
    shared: Path | None = None,
) -> StageOne:
    """Build the vocabulary, load or train its vectors, and fill in the missing ones.

    Args:
        config: the configuration.
        train: training texts; their words are the vocabulary.
        held_out: dev and test texts. Only their vocabulary is used, to keep the rows of these words when a source is
            read from a large file; nothing is trained on them.
        unlabelled: further texts for training word vectors, and for pretraining and self-training, which add their
            words to the vocabulary.
        context: progress and clock.
        shared: folder in which trained word vectors are stored and looked up.

    Raises:
        DataError: if the training texts have no words.
        EmbeddingError: if the source is invalid.
    """
    data = config.data
    texts: list[Text] = [*train, *unlabelled]
    counted = texts if config.pretraining.epochs or config.self_training.rounds else train
    with context.clock("tokenising"):
        tokenizer = make_tokenizer(data, texts)
        counts = tokenizer.count(counted)
        extra_words = tokenizer.count(held_out).keys()
    vocabulary = vocabulary_of(tokenizer, counts, data)
    policy = parse_policy(config.unknown)
    corpus = [Path(from_written(path)) for path in config.corpus]
    request = VectorRequest(
        vocabulary=vocabulary,
        extra_words=extra_words,
        n_frequent=data.unseen_words,
        texts=TextCorpus(tuple(corpus), data) if corpus else sorted(texts, key=_as_string),
        tokenizer=tokenizer,
        seed=config.seed,
        dim=config.model.d_model,
        unknown=policy,
        trust_pickle=config.trust_pickle,
        shared=shared,
        progress=context.progress,
    )
    source = apply_transforms(sources.load(config.source, request), config.transforms, request)
    found = source.lookup(vocabulary, policy)
    if advice := coverage_advice(config, source, found, counts, texts):
        log.warning("%s", advice)
    start = found.filled(config.seed, policy.last)
    if advice := scale_advice(config, start):
        log.warning("%s", advice)
    table = start.followed_by(source)
    log.info("%s: vectors of %d words of the training text and %d further words", config.source, len(start),
             len(table) - len(start))
    return StageOne(tokenizer.with_vocabulary(vocabulary), table)


def _as_string(text: Text) -> str:
    """Sort key of training texts, so that their order does not depend on which of them are labelled."""
    return text if isinstance(text, str) else " ".join(text)


def measure_texts(stage_one: StageOne, texts: Sequence[Text], policy: OOVPolicy) -> Coverage:
    """Measure the coverage of texts by the source."""
    counts = stage_one.tokenizer.count(texts)
    found = stage_one.table.lookup(counts, policy)
    reasons = dict(zip(found.words, found.provenance, strict=True))
    return measure_coverage(counts, reasons.__getitem__, is_known)


def unseen_words(table: EmbeddingTable, words: Iterable[str], policy: OOVPolicy) -> EmbeddingTable:
    """Return the vectors of words outside the training vocabulary, without those that have none."""
    found = table.lookup(words, policy)
    return found.where(why != MISSING for why in found.provenance)

