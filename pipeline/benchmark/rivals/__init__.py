"""Other models for the same data, which a benchmark compares with its sources: one file for each."""
