"""Looking into word vectors: scores on gold standards, neighbours, pictures, how much of a text they cover."""
