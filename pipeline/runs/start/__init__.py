"""Starting points of a run: a finished run, or a pretrained checkpoint."""
