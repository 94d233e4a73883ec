"""Estimators for scikit-learn: a classifier and a vectoriser of texts."""
