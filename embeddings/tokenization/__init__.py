"""Tokenization: normalisation and splitting of text, corpora, vocabularies."""
