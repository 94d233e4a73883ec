"""Sources of word vectors, one file each; found through :mod:`embeddings.specification.sources`."""
