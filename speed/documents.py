"""Documents of a given length, made by joining and truncating real texts."""

from __future__ import annotations

from pathlib import Path

from measuring import read_texts, write_texts


def write_documents(data: Path, to: Path, *, number: int, length: int) -> Path:
    """Write documents of equal length, each with the label of the text at its start.

    Args:
        data: training file. Its texts are concatenated, and documents start at equal distances; longer ones overlap.
        to: output file.
        number: number of documents.
        length: words per document, separated by whitespace.
    """
    words = [(word, label) for text, label in read_texts(data) for word in text.split()]
    starts = [i * len(words) // number for i in range(number)]
    endless = words * (1 + -(-length // len(words)))
    cut = (endless[start : start + length] for start in starts)
    return write_texts(to, ((" ".join(word for word, _ in document), document[0][1]) for document in cut))
