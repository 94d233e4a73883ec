"""Analysis of word vectors: intrinsic evaluation, nearest neighbours, projection, coverage of a text."""
