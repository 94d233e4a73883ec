"""What is explained for each kind of task: which score, and how the input of the model maps to the text."""

from pipeline.explanation.subjects import answers, tags, texts

__all__ = ["answers", "tags", "texts"]
