"""Tokenization and interning of ASCII text by compiled code (``words.cpp``).

The library is built during installation if there is a compiler; otherwise a Python implementation is used
(:mod:`embeddings.tokenization.interning`).
"""

from __future__ import annotations

import ctypes
import sysconfig
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("_words" + str(sysconfig.get_config_var("EXT_SUFFIX")))

_ADDRESS, _INT = ctypes.c_void_p, ctypes.c_int64


def available() -> bool:
    """Return whether the library was built."""
    return _library() is not None


class NativeInterner:
    """A token interner: words and their ids, which grows by new words."""

    def __init__(self) -> None:
        library = _library()
        assert library is not None, "the library is not available; check available() first"
        self._library = library
        self._address = library.vecformer_vocabulary()
        weakref.finalize(self, library.vecformer_vocabulary_free, self._address)

    def __len__(self) -> int:
        return int(self._library.vecformer_vocabulary_size(self._address))

    def __getitem__(self, index: int) -> str:
        letters = _ADDRESS()
        size = self._library.vecformer_vocabulary_word(self._address, index, ctypes.byref(letters))
        return ctypes.string_at(letters, size).decode() if size else ""

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Return the ids of words. *Shape:* ``(n_words,)``, int32."""
        letters, ends = _joined(words)
        ids = np.empty(len(words), dtype=np.int32)
        self._library.vecformer_number(self._address, letters, ends.ctypes.data, len(words), ids.ctypes.data)
        return ids

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Tokenize normalised ASCII texts.

        Returns:
            For each text the ids of its words, int32. *Shape:* ``(n_words,)``.
        """
        letters, ends = _joined(texts)
        ids, n_words = np.empty(len(letters), dtype=np.int32), np.empty(len(texts), dtype=np.int64)
        n = self._library.vecformer_cut(self._address, letters, ends.ctypes.data, len(texts), ids.ctypes.data,
                                        n_words.ctypes.data)
        return np.split(ids[:n].copy(), n_words.cumsum()[:-1]) if texts else []


def _joined(texts: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), np.cumsum([len(text) for text in encoded], dtype=np.int64)


@cache
def _library() -> ctypes.CDLL | None:
    if not FILE.exists():
        return None
    library = ctypes.CDLL(str(FILE))
    library.vecformer_vocabulary.restype = _ADDRESS
    library.vecformer_vocabulary_free.argtypes = [_ADDRESS]
    library.vecformer_vocabulary_size.argtypes, library.vecformer_vocabulary_size.restype = [_ADDRESS], _INT
    library.vecformer_vocabulary_word.argtypes = [_ADDRESS, _INT, ctypes.POINTER(_ADDRESS)]
    library.vecformer_vocabulary_word.restype = _INT
    library.vecformer_number.argtypes = [_ADDRESS, ctypes.c_char_p, _ADDRESS, _INT, _ADDRESS]
    library.vecformer_number.restype = None
    library.vecformer_cut.argtypes = [_ADDRESS, ctypes.c_char_p, _ADDRESS, _INT, _ADDRESS, _ADDRESS]
    library.vecformer_cut.restype = _INT
    return library
