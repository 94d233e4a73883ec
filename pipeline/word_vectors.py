"""Stage one of a run: the vocabulary of the text, its vectors, and its coverage by the source."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embeddings.analysis.coverage import Coverage, measure_coverage
from embeddings.progress import Progress
from embeddings.request import VectorRequest
from embeddings.special_tokens import SPECIAL_TOKENS
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING, OOVPolicy, is_known, parse_policy
from embeddings.tokenization.corpus import CorpusFiles
from embeddings.tokenization.tokenizer import Text, WordTokenizer
from embeddings.tokenization.vocabulary import build_vocabulary
from embeddings.transforms import apply_transforms
from pipeline.config import RunConfig
from pipeline.errors import DataError
from pipeline.telemetry.profiling import STOPPED, Clock

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class StageOne:
    """Result of stage one.

    Attributes:
        tokenizer: the tokenizer; its vocabulary is the words of the training text.
        table: vectors of the vocabulary in the order of the ids, then of the source's other words.
        target: the same for the target text, if it has its own vocabulary (translation).
    """

    tokenizer: WordTokenizer
    table: EmbeddingTable
    target: StageOne | None = None

    @property
    def sides(self) -> tuple[StageOne, ...]:
        """The source text, and the target text if there is one."""
        return (self, self.target) if self.target else (self,)

    @property
    def start(self) -> EmbeddingTable:
        """The rows of the vocabulary, which are trained."""
        n_words = len(self.tokenizer) - len(SPECIAL_TOKENS)
        return self.table.where(row < n_words for row in range(len(self.table)))


def prepare_vectors(
    config: RunConfig,
    *,
    train: Sequence[Text],
    held_out: Sequence[Text],
    unlabelled: Sequence[str],
    progress: Progress,
    shared: Path | None = None,
    clock: Clock = STOPPED,
) -> StageOne:
    """Build the vocabulary, load or train its vectors, and fill missing ones.

    Args:
        config: configuration of the run.
        train: labelled training texts; their words are the vocabulary.
        held_out: dev and test texts. Only their word types are used, so that the rows of these words are read from a
            large file; nothing is trained on them.
        unlabelled: further training texts of word vectors, and of the model if it is pretrained; in that case their
            words are part of the vocabulary.
        progress: progress callback.
        shared: folder in which trained word vectors are cached.
        clock: measures the time of tokenization.

    Raises:
        DataError: if the training texts contain no words.
        EmbeddingError: if the source is invalid.
    """
    data = config.data
    tokenizer = WordTokenizer(lowercase=data.lowercase, strip_accents=data.strip_accents, fold_digits=data.fold_digits,
                              han=data.han)
    texts: list[Text] = [*train, *unlabelled]
    with clock("tokenising"):
        counts = tokenizer.count(texts if config.pretraining.epochs else train)
        held_out_words = tokenizer.count(held_out).keys()
    vocabulary = build_vocabulary(counts, min_count=data.min_count, max_words=data.max_words or None)
    if not vocabulary:
        raise DataError(f"{data.path}: no word occurs {data.min_count} times in the training texts; lower "
                        "data.min_count, or add text")
    policy = parse_policy(config.unknown)
    request = VectorRequest(
        vocabulary=vocabulary,
        extra_words=held_out_words,
        n_frequent=data.unseen_words,
        texts=CorpusFiles(tuple(map(Path, config.corpus))) if config.corpus else sorted(texts, key=_sort_key),
        tokenizer=tokenizer,
        seed=config.seed,
        dim=config.model.d_model,
        unknown=policy,
        trust_pickle=config.trust_pickle,
        shared=shared,
        progress=progress,
    )
    known = apply_transforms(sources.load(config.source, request), config.transforms, request)
    start = known.lookup(vocabulary, policy).filled(config.seed, policy.last)
    table = start.followed_by(known)
    log.info("%s: %d words of the training text, %d further words", config.source, len(start), len(table) - len(start))
    return StageOne(tokenizer.with_vocabulary(vocabulary), table)


def _sort_key(text: Text) -> str:
    """Return the sort key of a training text, so that the order does not depend on which texts are labelled."""
    return text if isinstance(text, str) else " ".join(text)


def measure_texts(stage_one: StageOne, texts: Sequence[Text], policy: OOVPolicy) -> Coverage:
    """Measure the coverage of texts by the source."""
    counts = stage_one.tokenizer.count(texts)
    found = stage_one.table.lookup(counts, policy)
    reasons = dict(zip(found.words, found.provenance, strict=True))
    return measure_coverage(counts, reasons.__getitem__, is_known)


def unseen_words(table: EmbeddingTable, words: Iterable[str], policy: OOVPolicy) -> EmbeddingTable:
    """Return the words outside the vocabulary for which the policy finds a vector."""
    found = table.lookup(words, policy)
    return found.where(why != MISSING for why in found.provenance)

