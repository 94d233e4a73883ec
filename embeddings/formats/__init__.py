"""Vector file formats, one file each; :mod:`embeddings.formats.detect` detects them by content."""
