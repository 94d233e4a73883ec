"""Specifications such as ``glove+word2vec,dim=100``: grammar, registries of sources and transforms, fingerprints."""
