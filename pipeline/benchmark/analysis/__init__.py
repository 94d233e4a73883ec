"""Analysis of a benchmark's records: model selection, paired comparisons, curves, verdicts."""
