"""Word vectors learned from text by gensim: options, training, going on with it later."""
