"""Conversion of weights to and from the formats of other libraries."""
