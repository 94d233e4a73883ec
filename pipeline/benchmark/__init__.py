"""The benchmark of initialisations: which vectors to start from, by how much, how surely, and at what cost."""
