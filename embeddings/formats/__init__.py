"""Readers and writers of vector files, one file a format; :mod:`embeddings.formats.files` tells which is which."""
