"""Faster implementations of what :mod:`transformer.layers` and :mod:`transformer.models` define."""
