"""The n-gram branch of a classifier: logistic regression on n-grams, combined with the Transformer."""
