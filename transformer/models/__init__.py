"""Models put together from layers: stacks, heads, the architectures, and decoding."""
