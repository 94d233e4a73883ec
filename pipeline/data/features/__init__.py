"""From examples to model input: special tokens, windows over long texts, batches."""
