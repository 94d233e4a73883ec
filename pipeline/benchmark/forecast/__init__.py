"""Forecast of the best source of word vectors, before a Transformer is trained."""
