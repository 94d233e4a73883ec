"""Transformers' checkpoints as a source of word vectors: where one is, its table of tokens, words as its subwords."""
