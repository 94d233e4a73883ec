"""Pretrained vectors of the ``gensim.downloader`` collection, from gensim's data folder or downloaded into it.

Names: https://github.com/piskvorky/gensim-data. Only the vector file of a download is read; the Python file that comes
with it is never executed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.hf_checkpoint import first_line
from embeddings.formats.to_table import read_file
from embeddings.progress import FractionCallback
from embeddings.request import Origin, VectorRequest
from embeddings.specification.sources import source
from embeddings.specification.suggest import did_you_mean
from embeddings.table import EmbeddingTable

TIMEOUT = 10.0  # seconds without a response
GLOVE_LICENCE = ("Open Data Commons Public Domain Dedication and License 1.0", "pddl")
PERCENTAGE = re.compile(r"([\d.]+)% [\d.]+/")


@source("gensim")
@dataclass(frozen=True)
class Downloaded:
    """Reads vectors of the gensim.downloader collection; downloads them once."""

    example: ClassVar[str] = "gensim:glove-wiki-gigaword-100,limit=100000"

    path: Annotated[str, Field(description="name in the collection, such as glove-wiki-gigaword-50")]
    limit: Annotated[int | None, Field(ge=1, description=(
        "maximum number of rows to read, such as 100000; the most frequent words come first"))] = None

    def origins(self) -> list[Origin]:
        """Return the name in the collection, and the licence of GloVe; others are in the list of gensim-data."""
        description = f"{self.path} of https://github.com/piskvorky/gensim-data"
        return [Origin(description, *GLOVE_LICENCE) if self.path.startswith("glove-") else Origin(description)]

    def load(self, request: VectorRequest) -> EmbeddingTable:
        """Read the vectors from gensim's data folder, after downloading them if they are not there."""
        name = f"gensim:{self.path}"
        found = _downloaded(self.path) or _download(self.path, partial(request.progress, f"downloading {name}"))
        return read_file(found, self.limit, request, name)


def _downloader() -> Any:
    try:
        from gensim import downloader  # takes a second to import
    except Exception as error:  # a broken installation raises exceptions of any class
        raise EmbeddingError(f"the source 'gensim' needs the package gensim, which cannot be imported "
                             f"({first_line(error)}); type: pip install --force-reinstall gensim") from error
    return downloader


def _folder() -> Path:
    return Path(_downloader().BASE_DIR)


def _downloaded(name: str) -> Path | None:
    """Return the vector file in gensim's data folder, or None if it was not downloaded yet."""
    folder = _folder() / name
    if Path(name).name != name or not folder.is_dir():
        return None
    if (folder / f"{name}.gz").is_file():
        return folder / f"{name}.gz"
    files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]
    if len(files) != 1:
        raise EmbeddingError(f"{folder}: contains {len(files)} files instead of one vector file; remove the folder to "
                             "download it again, or name the file: file:PATH")
    return files[0]


def _download(name: str, progress: FractionCallback) -> Path:
    """Download the vectors into gensim's data folder."""
    downloader = _downloader()
    by_hand = (f"on a machine with network access, type: python -m gensim.downloader --download {name}, and copy the "
               f"folder it creates to {_folder()}; or name a vector file: file:PATH")
    with _quiet(progress):
        try:
            known = downloader.info(show_only_latest=False)
        except Exception as error:  # ValueError without a network, OSError without disk space
            raise EmbeddingError(f"gensim:{name}: not in {_folder()}, and the list of downloads is not available "
                                 f"({first_line(error)}); {by_hand}") from error
        if name in known["corpora"]:
            raise SpecificationError(f"gensim:{name}: a corpus, not vectors. There are: {_listed(known)}")
        if name not in known["models"]:
            raise SpecificationError(f"gensim:{name}: gensim has no vectors of that name."
                                     f"{did_you_mean(name, known['models'])} There are: {_listed(known)}")
        try:
            return Path(downloader.load(name, return_path=True))
        except Exception as error:  # Exception for a wrong checksum, others of urllib or the file system
            raise EmbeddingError(f"gensim:{name}: could not be downloaded from {downloader.DOWNLOAD_BASE_URL} "
                                 f"({first_line(error)}); try again, or {by_hand}") from error


def _listed(known: dict[str, dict[str, object]]) -> str:
    return ", ".join(sorted(name for name in known["models"] if not name.startswith("__")))


@contextlib.contextmanager
def _quiet(progress: FractionCallback) -> Iterator[None]:
    """Set a timeout, suppress gensim's log, and report progress instead of printing it."""
    logger = logging.getLogger("gensim.downloader")
    timeout, disabled = socket.getdefaulttimeout(), logger.disabled
    socket.setdefaulttimeout(TIMEOUT)
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(_ProgressOutput(progress)):
            yield
    finally:
        socket.setdefaulttimeout(timeout)
        logger.disabled = disabled


class _ProgressOutput(io.TextIOBase):
    """Parses the percentages of the progress bar that gensim prints."""

    def __init__(self, progress: FractionCallback) -> None:
        self._progress = progress

    def write(self, text: str) -> int:
        """Report the percentage in the text, if there is one."""
        percentage = PERCENTAGE.search(text)
        if percentage:
            self._progress(min(1.0, float(percentage[1]) / 100))  # gensim counts whole blocks
        return len(text)
