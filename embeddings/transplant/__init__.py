"""Vocabulary transplant: rows of a checkpoint's embeddings for a new vocabulary."""

from embeddings.tokenization.token_text import Token, tokens_of, words_as_tokens
from embeddings.transplant.assembly import Transplanted, transplant
from embeddings.transplant.base import METHODS, parse_method
from embeddings.transplant.vocabulary import Vocabulary, shared_rows

__all__ = ["METHODS", "Token", "Transplanted", "Vocabulary", "parse_method", "shared_rows", "tokens_of", "transplant",
           "words_as_tokens"]
