"""Execution of a benchmark's jobs: local worker processes or a Ray cluster, with a live view."""
