"""Text to words: how it is folded and cut, read from files, and which of its words are kept."""
