"""Readers and writers of vector files, one file a format; :mod:`embeddings.formats.detect` tells which is which."""
