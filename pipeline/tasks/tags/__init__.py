"""Scores of tags: the Transformer combined with a linear model on features of words, and valid sequences of tags."""
