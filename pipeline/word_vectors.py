"""Stage one of a run: the words of the text, a vector for each, and how many of them the source knew."""

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
    """What stage one hands on.

    Attributes:
        tokenizer: its vocabulary is the words that are trained on.
        table: those words first, in the order of their ids and each with a vector; then what else the source knows.
        target: the same of the text that is written, if that has words of its own (a translation).
    """

    tokenizer: WordTokenizer
    table: EmbeddingTable
    target: StageOne | None = None

    @property
    def sides(self) -> tuple[StageOne, ...]:
        """The text that is read, and the target if there is one."""
        return (self, self.target) if self.target else (self,)

    @property
    def start(self) -> EmbeddingTable:
        """The rows that are trained on."""
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
    """Count the words, load or train their vectors, and fill the gaps.

    Args:
        config: the run's.
        train: labelled training texts; their words are the vocabulary.
        held_out: dev and test texts. Only which words they hold is looked at, so that a source read from a large file
            keeps the rows of those words; nothing is learned from them.
        unlabelled: further texts that word vectors may be trained on, and whole models, if these are pretrained: then
            their words are in the vocabulary too.
        progress: told how far long work has come.
        shared: folder where word vectors that are trained are kept and, if they are there already, found.
        clock: told when the texts are cut into words.

    Raises:
        DataError: if the training texts hold no words.
        EmbeddingError: if the source is not in order.
    """
    data = config.data
    cutter = WordTokenizer(lowercase=data.lowercase, strip_accents=data.strip_accents, fold_digits=data.fold_digits,
                           han=data.han)
    texts: list[Text] = [*train, *unlabelled]
    with clock("tokenising"):
        counts = cutter.count(texts if config.pretraining.epochs else train)
        also = cutter.count(held_out).keys()
    vocabulary = build_vocabulary(counts, min_count=data.min_count, max_words=data.max_words or None)
    if not vocabulary:
        raise DataError(f"{data.path}: no word stands {data.min_count} times in the training texts")
    policy = parse_policy(config.unknown)
    request = VectorRequest(
        vocabulary=vocabulary,
        extra_words=also,
        n_frequent=data.unseen_words,
        texts=CorpusFiles(tuple(map(Path, config.corpus))) if config.corpus else sorted(texts, key=_as_written),
        tokenizer=cutter,
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
    log.info("%s: %d words of the training text, %d more kept", config.source, len(start), len(table) - len(start))
    return StageOne(cutter.with_vocabulary(vocabulary), table)


def _as_written(text: Text) -> str:
    """What the texts to learn from are ordered by, so that it does not matter which of them are labelled."""
    return text if isinstance(text, str) else " ".join(text)


def measure_texts(stage_one: StageOne, texts: Sequence[Text], policy: OOVPolicy) -> Coverage:
    """How much of the texts the source knows."""
    counts = stage_one.tokenizer.count(texts)
    found = stage_one.table.lookup(counts, policy)
    reasons = dict(zip(found.words, found.provenance, strict=True))
    return measure_coverage(counts, reasons.__getitem__, is_known)


def unseen_words(table: EmbeddingTable, words: Iterable[str], policy: OOVPolicy) -> EmbeddingTable:
    """Those of the words, which were not trained on, that the policy finds a vector for."""
    found = table.lookup(words, policy)
    return found.where(why != MISSING for why in found.provenance)

