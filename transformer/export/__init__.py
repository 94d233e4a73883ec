"""Weights in the forms of other libraries."""
