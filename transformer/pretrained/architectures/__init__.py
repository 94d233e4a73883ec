"""Architectures of pretrained Transformers, one in each file."""
