"""The recipe of a run: parts of the model and its training that are chosen from the data.

A part only sets keys of the configuration, so that everything a recipe does can be configured without it. The choice
depends on the training data, the configuration and the installed word vectors; a resumed run keeps it.
"""
