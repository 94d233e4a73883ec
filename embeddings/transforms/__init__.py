"""Transforms of word vectors, one file a family; found through the registry."""

from embeddings.specification.transforms import apply_transforms

__all__ = ["apply_transforms"]
