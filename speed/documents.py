"""Documents of a length that is wanted, made of real ones: joined where these are too short, cut where too long."""

from __future__ import annotations

from pathlib import Path

from measuring import read_texts, write_texts


def write_documents(data: Path, to: Path, *, number: int, length: int) -> Path:
    """Write documents of equally many words each; a document's label is that of the text in which it begins.

    Args:
        data: the training file of a data set. Its texts are one row of words, along which the documents begin at equal
            distances; they overlap where they are longer than that.
        to: the file to write.
        number: of documents.
        length: words of each, words being what stands between spaces.
    """
    words = [(word, label) for text, label in read_texts(data) for word in text.split()]
    starts = [i * len(words) // number for i in range(number)]
    endless = words * (1 + -(-length // len(words)))
    cut = (endless[start : start + length] for start in starts)
    return write_texts(to, ((" ".join(word for word, _ in document), document[0][1]) for document in cut))
