"""From files to splits of examples, and from examples to batches."""
