"""From the results of runs to statements: statistics, paired comparisons, curves, selection."""
