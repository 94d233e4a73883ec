"""Inspection of a model: its parameters, and the attention of a text."""
