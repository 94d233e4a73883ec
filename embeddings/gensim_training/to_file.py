"""Word vectors trained from text and written to a file: what ``vecformer embed train`` does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.writing import FILE_MODE, write_vectors
from embeddings.gensim_training.resume import save_state, state_path
from embeddings.gensim_training.trainer import TrainedVectors, TrainingOptions
from embeddings.progress import Progress, silent
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.tokenization.tokenizer import WordTokenizer

MAX_SEED = 2**32 - 2  # gensim draws FastText's n-grams by the seed after it


def train_vectors(
    specification: str,
    corpus: Iterable[str],
    to: Path,
    *,
    tokenizer: WordTokenizer | None = None,
    workers: int | None = None,
    deterministic: bool = False,
    seed: int = 1,
    trust_pickle: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> TrainedVectors:
    """Train word vectors on a corpus and write them, in the format that the file's ending names.

    Beside a ``.safetensors`` the state of the training is written as well, for a later ``start=`` to go on from.

    Args:
        specification: ``word2vec`` or ``fasttext``, with options: ``word2vec,dim=300,epochs=5``.
        corpus: texts, such as :class:`~embeddings.tokenization.corpus.CorpusFiles`; read once.
        to: the file to write.
        tokenizer: cuts the texts into words.
        workers: threads; by default what the specification says, else one for each core.
        deterministic: one worker, so that the same seed gives the same vectors.
        seed: decides everything random.
        trust_pickle: read a ``start`` that can run code of its maker's when it is read.
        overwrite: replace files that are there.
        progress: told how far the work has come.

    Returns:
        The table that was written, and gensim's model.

    Raises:
        SpecificationError: if the specification is of a source that does not learn from text.
        EmbeddingError: if the file is there already or cannot be written, before anything is read; and as
            :meth:`~embeddings.gensim_training.trainer.TrainingOptions.train` says.
    """
    source = sources.parse(specification)
    if not isinstance(source, TrainingOptions) or source.path is not None:
        raise SpecificationError(f"{specification} does not learn from text: write word2vec or fasttext, with options "
                                 "such as word2vec,dim=300,epochs=5")
    if not 0 <= seed <= MAX_SEED:
        raise EmbeddingError(f"seed must be from 0 to {MAX_SEED}, not {seed}")
    _check_target(to, overwrite)
    source = replace(source, workers=1 if deterministic else workers or source.workers or os.cpu_count())
    request = VectorRequest(texts=corpus, tokenizer=tokenizer or WordTokenizer(), seed=seed, trust_pickle=trust_pickle,
                            progress=progress)
    trained = source.train(request)
    trained = trained._replace(table=replace(trained.table, source=specification))
    if to.suffix == ".safetensors":
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".vecformer-") as folder:
            state = save_state(trained.model, Path(folder) / to.name)
            state.chmod(FILE_MODE)
            write_vectors(trained.table, to)
            state.replace(state_path(to))
    else:
        write_vectors(trained.table, to)
    return trained


def _check_target(to: Path, overwrite: bool) -> None:
    """Find out by a trial, hours before it is needed, whether the file can be written."""
    if to.exists() and not overwrite:
        raise EmbeddingError(f"{to}: is there already; give another name, or --overwrite")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".vecformer-") as folder:
            write_vectors(EmbeddingTable.known(["word"], np.zeros((1, 1), np.float32), "trial"), Path(folder) / to.name)
    except OSError as error:
        raise EmbeddingError(f"{to}: cannot be written ({error.strerror or error})") from error
