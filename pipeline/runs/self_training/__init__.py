"""Self-training: labels for the unlabelled texts of a run, and whether they are used."""
