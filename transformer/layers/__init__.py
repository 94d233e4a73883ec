"""The parts of a Transformer, one a file: attention, feed-forward, positions, embedding, and the layer made of them."""
