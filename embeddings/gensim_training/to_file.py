"""Training of word vectors into a file, for ``vecformer embed train``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.writing import FILE_MODE, files_beside, format_for, require_free_companions, write_vectors
from embeddings.gensim_training.resume import save_state, state_path
from embeddings.gensim_training.trainer import TrainedVectors, TrainingOptions
from embeddings.progress import Progress, silent
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.grammar import written_specification
from embeddings.table import EmbeddingTable
from embeddings.table.arguments import flag
from embeddings.table.atomic_files import locked, replacing, restore, scratch_folder
from embeddings.threads import n_cores
from embeddings.tokenization.tokenizer import WordTokenizer

MAX_SEED = 2**32 - 2  # gensim initialises FastText's n-grams with the next seed


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
    """Train word vectors on a corpus and write them in the format that the file's suffix selects.

    With a ``.safetensors`` file the training state is written as well, so that ``start=`` can continue the training.

    Args:
        specification: ``word2vec`` or ``fasttext``, with options: ``word2vec,dim=300,epochs=5``.
        corpus: texts, such as :class:`~embeddings.tokenization.corpus.CorpusFiles`; read once.
        to: path of the file to write.
        tokenizer: splits the texts into words.
        workers: number of threads; by default that of the specification, otherwise one per core.
        deterministic: use one worker, so that the same seed gives the same vectors.
        seed: seed of all random numbers.
        trust_pickle: allow a pickle file as ``start``, which can execute arbitrary code.
        overwrite: replace existing files.
        progress: progress callback.

    Returns:
        The gensim model and the table that was written.

    Raises:
        SpecificationError: if the source is not trained on text.
        EmbeddingError: if the file exists or cannot be written, which is checked first; and as
            :meth:`~embeddings.gensim_training.trainer.TrainingOptions.train`.
    """
    specification = written_specification(specification)
    source = sources.parse(specification)
    if not isinstance(source, TrainingOptions) or source.path is not None:
        raise SpecificationError(f"{specification} is not trained on text: write word2vec or fasttext, with options "
                                 "such as word2vec,dim=300,epochs=5")
    if not 0 <= seed <= MAX_SEED:
        raise EmbeddingError(f"seed must be from 0 to {MAX_SEED}, not {seed}")
    to = Path(os.path.realpath(to))
    _check_target(to, overwrite)
    source = replace(source, workers=1 if deterministic else workers or source.workers or n_cores())
    request = VectorRequest(texts=corpus, tokenizer=tokenizer or WordTokenizer(), seed=seed, trust_pickle=trust_pickle,
                            progress=progress)
    with locked(to):
        trained = source.train(request)
        trained = trained._replace(table=replace(trained.table, source=specification))
        write_vectors(trained.table, to)
        if to.suffix == ".safetensors":  # a state that does not belong to the table is recognised when it is read
            with replacing(state_path(to)) as new:
                save_state(trained.model, new).chmod(FILE_MODE)
    return trained


def _check_target(to: Path, overwrite: bool) -> None:
    """Check that the file can be written before the training starts, by writing a small table."""
    restore(to)
    if to.exists() and not overwrite:
        raise EmbeddingError(f"{to}: exists already; choose another name, or replace it with {flag('overwrite')}")
    table = EmbeddingTable.known(["word"], np.zeros((1, 1), np.float32), "trial")
    format_for(table, to)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with locked(to), scratch_folder(to) as folder:
            trial = folder / to.name
            write_vectors(table, trial)
            require_free_companions(files_beside(trial), to)
    except OSError as error:
        raise EmbeddingError(f"{to}: cannot be written ({error.strerror or error})") from error
