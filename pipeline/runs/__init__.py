"""Runs: training, the run folder, loading, the report."""
