"""Words run through a Transformer's checkpoint: the vectors that come out, narrowed by PCA, weighted by frequency.

After model2vec (Tulkens & van Dongen 2024), whose output vectors, treated so, are better word vectors than the input
embeddings of the same checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from embeddings.errors import EmbeddingError
from embeddings.formats.hf_checkpoint import find_checkpoint, first_line, read_tokenizer
from embeddings.request import VectorRequest
from embeddings.sources.hf import provenance_of, tokens_of_words
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.row_maps import Vectors
from embeddings.table.subword_composer import Subwords
from embeddings.transforms.directions import Pca
from embeddings.transforms.frequency import Sif

MAX_TOKENS = 64  # of one word with its special tokens; what a longer one has beyond them is cut off


@source("distill")
@dataclass(frozen=True)
class Distill:
    """Words run one by one through a checkpoint (BERT, GPT-2, T5, …): last hidden states, then PCA and weighting.

    A word is given as the model expects a text, special tokens included. These are not pooled, as in model2vec's first
    releases; its later ones pool them too.

    Attributes:
        path: a folder, an installed package or a name on Hugging Face, as for ``hf``.
        dim: width, by PCA; no more than the checkpoint's width or the number of words.
        pool: the ``mean`` of the hidden states of the word's own tokens, their ``first`` or ``last``, or that of the
            text's first token (``cls``).
        sif: words much rarer than this share of the text keep their length; 0 weighs all words alike.
        batch: words that are run at once.
    """

    path: str
    dim: Annotated[int, Ge(1)] = 256
    pool: Literal["mean", "first", "last", "cls"] = "mean"
    sif: Annotated[float, Ge(0)] = 1e-4
    batch: Annotated[int, Ge(1)] = 256

    def files(self) -> list[Path]:
        """The checkpoint's folder."""
        return [find_checkpoint(self.path)]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Run the words asked for; by default those that are one token of the checkpoint."""
        name = f"distill:{self.path}"
        request.progress(f"loading {name}", 0.0)
        folder = find_checkpoint(self.path)
        model = _load_model(folder)
        subwords = Subwords(read_tokenizer(folder, n_rows=model.get_input_embeddings().num_embeddings))
        tokens = tokens_of_words(subwords, request)
        if not tokens:
            raise EmbeddingError(f"{name}: its tokenizer can encode none of the words asked for")
        words = tuple(tokens)
        request.progress(f"loading {name}", 1.0)
        done: list[int] = []
        parts: list[Vectors] = []
        for places, rows in self._run(model, subwords, words, name):
            done += places
            parts.append(rows)
            request.progress(f"running {name}", len(done) / len(words))
        vectors = np.concatenate(parts)[np.argsort(done)]
        if self.pool == "cls" and len(words) > 1 and not np.ptp(vectors, axis=0).any():
            raise EmbeddingError(f"{name}: all words come out alike, since the first token of this checkpoint's texts "
                                 "does not see what follows it; write pool=last or pool=mean")
        return self._finished(EmbeddingTable(words, vectors, provenance_of(tokens), name), request)

    def _run(
        self, model: Any, subwords: Subwords, words: Sequence[str], name: str
    ) -> Iterator[tuple[list[int], Vectors]]:
        """Run words of equal length together, so that none is padded; the places of some words and their vectors."""
        import torch

        longest = min(MAX_TOKENS, getattr(model.config, "max_position_embeddings", MAX_TOKENS) - 2)
        texts = subwords.encode_texts(words, max_length=longest)
        for places in _alike([len(ids) for ids, _ in texts], self.batch):
            ids = torch.tensor([texts[place][0] for place in places], device=model.device)                   # (B, L)
            weights = np.array([_weights(texts[place][1], self.pool) for place in places], np.float32)       # (B, L)
            try:
                with torch.inference_mode():
                    hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state     # (B, L, d)
            except Exception as error:  # whatever a model of another make, or a device without memory, raises
                raise EmbeddingError(f"{name}: the checkpoint cannot be run on words ({first_line(error)}); if memory "
                                     "is short, run fewer at once with batch=16") from error
            yield places, np.einsum("bl,bld->bd", weights, hidden.float().cpu().numpy())

    def _finished(self, table: EmbeddingTable, request: VectorRequest) -> EmbeddingTable:
        """Narrow, by what varies among all words that were run, and weigh."""
        dim = min(self.dim, *table.vectors.shape)
        if len(table) > 1:  # one word does not vary
            note = f"pca:{dim}" if dim == self.dim else f"pca:{dim} (of {self.dim} asked for)"
            table = Pca(dim).apply(table, replace(request, vocabulary=None), note)
        return Sif(self.sif).apply(table, request, f"sif:{self.sif:g}") if self.sif else table


def _alike(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Places of equal lengths, no more than ``batch`` at once, the shortest first."""
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    for _, group in groupby(by_length, key=lengths.__getitem__):
        places = list(group)
        for start in range(0, len(places), batch):
            yield places[start : start + batch]


def _weights(own: Sequence[bool], pool: str) -> NDArray[np.float32]:
    """What each token of a text counts for in the pooled vector. *Shape:* ``(length,)``."""
    weights = np.zeros(len(own), np.float32)
    places = np.flatnonzero(own)
    chosen = {"mean": places, "first": places[:1], "last": places[-1:], "cls": np.zeros(1, np.intp)}[pool]
    weights[chosen] = 1 / len(chosen)
    return weights


def _load_model(folder: Path) -> Any:
    """Load a checkpoint's encoder, or its decoder if it has no other, ready to be run.

    Raises:
        EmbeddingError: if transformers is not installed or cannot load it.
    """
    try:
        import torch
        from transformers import AutoModel
    except ImportError as error:
        raise EmbeddingError("the source 'distill' runs a checkpoint, for which transformers is needed: "
                             "pip install 'vecformer[hf]'") from error
    try:
        with _quiet():
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True,
                                              trust_remote_code=False)
        model = model.get_encoder() if model.config.is_encoder_decoder else model
        model.get_input_embeddings()
    except Exception as error:  # of any class, by version and architecture
        raise EmbeddingError(f"{folder}: transformers cannot load this checkpoint ({first_line(error)}); its input "
                             f"embeddings may be read all the same, with hf:{folder}") from error
    return model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing progress bars and advice on unused weights."""
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
