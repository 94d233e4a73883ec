"""Training of subword tokenizers by the ``tokenizers`` library: WordPiece and byte-level BPE.

Unigram models are read but not trained: the library's training is not repeatable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import N_SPECIAL, SPECIAL_TOKENS, UNK
from embeddings.specification.grammar import OPTION, build, split_options, split_top_level
from embeddings.tokenization.interface import Text, encodable
from embeddings.tokenization.subwords import SubwordTokenizer


@dataclass(frozen=True)
class TrainedKind(ABC):
    """Options of a tokenizer that is trained.

    Attributes:
        size: size of the vocabulary; a small text can have fewer subwords.
    """

    size: Annotated[int, Field(ge=100, le=1_000_000)] = 8000

    name: ClassVar[str]

    @abstractmethod
    def train(self, texts: Sequence[str], *, lowercase: bool, strip_accents: bool) -> Tokenizer:
        """Train a tokenizer; equal texts give equal tokenizers."""


@dataclass(frozen=True)
class WordPiece(TrainedKind):
    """WordPiece, as in BERT (Devlin et al. 2019): words and punctuation are split, ``##`` marks continuations."""

    name: ClassVar[str] = "wordpiece"

    def train(self, texts: Sequence[str], *, lowercase: bool, strip_accents: bool) -> Tokenizer:
        """Train a tokenizer."""
        normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
        characters = sorted(set().union(*map(normalizer.normalize_str, texts)) - set(" \t\n\r"))
        # The library numbers the continuations in a random order, which decides between equally frequent pairs.
        first = [*SPECIAL_TOKENS, *characters, *(f"##{one}" for one in characters)]
        tokenizer = self._empty(models.WordPiece(unk_token=UNK), normalizer)
        tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(
            vocab_size=max(self.size, len(first)), special_tokens=first, show_progress=False))
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        trained = self._empty(models.WordPiece(vocabulary, unk_token=UNK), normalizer)
        trained.add_special_tokens(list(SPECIAL_TOKENS))
        return trained

    def _empty(self, model: models.Model, normalizer: normalizers.Normalizer) -> Tokenizer:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer


@dataclass(frozen=True)
class Bpe(TrainedKind):
    """Byte-level BPE, as in GPT-2 (Radford et al. 2019): no text has unknown tokens."""

    name: ClassVar[str] = "bpe"

    def train(self, texts: Sequence[str], *, lowercase: bool, strip_accents: bool) -> Tokenizer:
        """Train a tokenizer."""
        tokenizer = Tokenizer(models.BPE())
        accents = [normalizers.NFD(), normalizers.StripAccents()] if strip_accents else []
        case = [normalizers.Lowercase()] if lowercase else []
        tokenizer.normalizer = normalizers.Sequence([*accents, normalizers.NFC(), *case])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
            vocab_size=max(self.size, len(alphabet) + N_SPECIAL), special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=alphabet, show_progress=False))
        return tokenizer


KINDS: dict[str, type[TrainedKind]] = {kind.name: kind for kind in (WordPiece, Bpe)}


def parse_kind(specification: str) -> TrainedKind | None:
    """Parse ``wordpiece,size=8000``; None if the first word is not the name of a kind, but a location.

    Raises:
        SpecificationError: if an option is unknown or wrong.
    """
    name, *pairs = split_top_level(specification, OPTION)
    if name not in KINDS:
        return None
    kind: TrainedKind = build(f"tokenizer {name!r}", KINDS[name], split_options(pairs), positional="")
    return kind


def train_subwords(
    kind: TrainedKind, texts: Iterable[Text], *, lowercase: bool = True, strip_accents: bool = False
) -> SubwordTokenizer:
    """Train a tokenizer.

    Args:
        kind: the kind of subwords, and the size of the vocabulary.
        texts: strings, or sequences of words.
        lowercase: convert to lower case.
        strip_accents: remove accents.

    Raises:
        EmbeddingError: if the texts have no tokens.
    """
    whole = [encodable(text if isinstance(text, str) else " ".join(text)) for text in texts]
    if not any(map(str.strip, whole)):
        raise EmbeddingError(f"a {kind.name} tokenizer cannot be trained: the texts are empty")
    return SubwordTokenizer(kind.train(whole, lowercase=lowercase, strip_accents=strip_accents))
