"""From ``"glove+word2vec,dim=100"`` to a source: the grammar, plugins by name, and fingerprints of sources."""
