"""Explanation of a prediction: contributions, attention, nearest examples, changed words."""
