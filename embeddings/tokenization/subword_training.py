"""Subword tokenizers that are trained on a text, with the special tokens of this project."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import SPECIAL_TOKENS, UNK
from embeddings.specification.grammar import OPTION, split_top_level
from embeddings.tokenization.interface import Text, encodable
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.tokenizer_training import KINDS, NewTokenizer, parse_new_tokenizer, train_like

__all__ = ["KINDS", "parse_kind", "train_subwords"]


def parse_kind(specification: str) -> NewTokenizer | None:
    """Parse ``wordpiece,size=8000``; None if the first word is not the name of a kind, but a location.

    Raises:
        SpecificationError: if an option is unknown or wrong.
    """
    name = split_top_level(specification, OPTION)[0]
    return parse_new_tokenizer(specification) if name in KINDS else None


def train_subwords(
    kind: NewTokenizer, texts: Iterable[Text], *, lowercase: bool = True, strip_accents: bool = False
) -> SubwordTokenizer:
    """Train a tokenizer; equal texts give equal tokenizers.

    Args:
        kind: the kind of subwords, and the size of the vocabulary; a small text can have fewer subwords.
        texts: strings, or sequences of words.
        lowercase: convert to lower case.
        strip_accents: remove accents.

    Raises:
        EmbeddingError: if the texts have no tokens.
    """
    whole = [encodable(text if isinstance(text, str) else " ".join(text)) for text in texts]
    if not any(map(str.strip, whole)):
        raise EmbeddingError(f"a {kind.kind} tokenizer cannot be trained: the texts are empty")
    like = _UNTRAINED[kind.kind](lowercase, strip_accents)
    like.add_special_tokens(list(SPECIAL_TOKENS))
    return SubwordTokenizer(train_like(like, whole, kind, {"unk_token": UNK}))


def _wordpiece(lowercase: bool, strip_accents: bool) -> Tokenizer:
    """Return WordPiece as in BERT (Devlin et al. 2019): words and punctuation are split, ``##`` marks continuations."""
    made = Tokenizer(models.WordPiece(unk_token=UNK))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)
    made.pre_tokenizer, made.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return made


def _bpe(lowercase: bool, strip_accents: bool) -> Tokenizer:
    """Return byte-level BPE as in GPT-2 (Radford et al. 2019): no text has unknown tokens."""
    made = Tokenizer(models.BPE())
    made.normalizer = _normalizer(normalizers.NFC(), lowercase, strip_accents)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    return made


def _unigram(lowercase: bool, strip_accents: bool) -> Tokenizer:
    """Return Unigram as SentencePiece writes it (Kudo 2018)."""
    made = Tokenizer(models.Unigram())
    made.normalizer = _normalizer(normalizers.NFKC(), lowercase, strip_accents)
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return made


def _normalizer(form: normalizers.Normalizer, lowercase: bool, strip_accents: bool) -> normalizers.Normalizer:
    accents = [normalizers.NFD(), normalizers.StripAccents()] if strip_accents else []
    return normalizers.Sequence([*accents, form, *([normalizers.Lowercase()] if lowercase else [])])


_UNTRAINED: dict[str, Callable[[bool, bool], Tokenizer]] = {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram}
