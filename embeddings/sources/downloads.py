"""Vectors by the names that ``gensim.downloader`` knows: out of gensim's own folder, or fetched into it.

Names: https://github.com/piskvorky/gensim-data. Of what is fetched only the file of vectors is read; the Python file
that comes with it is never run.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.hf_checkpoint import first_line
from embeddings.formats.to_table import read_file
from embeddings.request import VectorRequest
from embeddings.specification.sources import source
from embeddings.specification.suggest import did_you_mean
from embeddings.table import EmbeddingTable

TIMEOUT = 10.0  # seconds without an answer
SHARE = re.compile(r"([\d.]+)% [\d.]+/")


@source("gensim")
@dataclass(frozen=True)
class Downloaded:
    """Vectors that gensim.downloader knows by name, such as ``gensim:glove-wiki-gigaword-50``; fetched once.

    Attributes:
        path: the name.
        limit: read no more than this many rows; such files list frequent words first.
    """

    path: str
    limit: Annotated[int, Ge(1)] | None = None

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the vectors from gensim's folder, where they are fetched to if they are not there."""
        name = f"gensim:{self.path}"
        found = _downloaded(self.path) or _fetched(self.path, lambda share: request.progress(f"fetching {name}", share))
        return read_file(found, self.limit, request, name)


def _folder() -> Path:
    from gensim import downloader  # a second to import

    return Path(downloader.BASE_DIR)


def _downloaded(name: str) -> Path | None:
    """The file of vectors in gensim's folder, if it was fetched before."""
    folder = _folder() / name
    if Path(name).name != name or not folder.is_dir():
        return None
    if (folder / f"{name}.gz").is_file():
        return folder / f"{name}.gz"
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]
    if len(files) != 1:
        raise EmbeddingError(f"{folder}: holds {len(files)} files where one of vectors was expected; remove the folder "
                             "and fetch it again, or give the file itself: file:PATH")
    return files[0]


def _fetched(name: str, tell: Callable[[float], None]) -> Path:
    """Let gensim fetch the vectors into its folder."""
    from gensim import downloader

    by_hand = (f"where there is a network, type: python -m gensim.downloader --download {name}, and copy the folder it "
               f"makes to {_folder()}; or give a file of vectors: file:PATH")
    with _quiet(tell):
        try:
            known = downloader.info(show_only_latest=False)
        except Exception as error:  # ValueError where there is no network, OSError where there is no room
            raise EmbeddingError(f"gensim:{name}: not in {_folder()}, and the list of what can be fetched cannot be "
                                 f"had ({first_line(error)}); {by_hand}") from error
        if name in known["corpora"]:
            raise SpecificationError(f"gensim:{name}: that is a corpus, not vectors. There are: {_listed(known)}")
        if name not in known["models"]:
            raise SpecificationError(f"gensim:{name}: gensim knows no vectors of that name."
                                     f"{did_you_mean(name, known['models'])} There are: {_listed(known)}")
        try:
            return Path(downloader.load(name, return_path=True))
        except Exception as error:  # a bare Exception where the checksum is wrong, else of urllib or the file system
            raise EmbeddingError(f"gensim:{name}: could not be fetched from {downloader.DOWNLOAD_BASE_URL} "
                                 f"({first_line(error)}); try again, or {by_hand}") from error


def _listed(known: dict[str, dict[str, object]]) -> str:
    return ", ".join(sorted(name for name in known["models"] if not name.startswith("__")))


@contextlib.contextmanager
def _quiet(tell: Callable[[float], None]) -> Iterator[None]:
    """Have gensim give up in time, log no traceback, and tell of progress instead of printing it."""
    logger = logging.getLogger("gensim.downloader")
    timeout, disabled = socket.getdefaulttimeout(), logger.disabled
    socket.setdefaulttimeout(TIMEOUT)
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(_Shares(tell)):
            yield
    finally:
        socket.setdefaulttimeout(timeout)
        logger.disabled = disabled


class _Shares(io.TextIOBase):
    """Reads the shares out of the progress bar that gensim prints."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell

    def write(self, text: str) -> int:
        """Tell of a share, if the text has one."""
        share = SHARE.search(text)
        if share:
            self._tell(min(1.0, float(share[1]) / 100))  # it counts whole blocks
        return len(text)
