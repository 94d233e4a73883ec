"""The benchmark of initialisations: paired comparisons of word vectors as starting points, with their costs."""
