"""Training of word vectors by gensim: options, training, continued training."""
