"""Compiled tokenisation of ASCII text (``words.cpp``), and counts of n-grams (``ngrams.cpp``).

The library is built when the package is installed and a compiler is available. Where it is missing or was built from
other sources, :mod:`embeddings.tokenization.interning` and :mod:`embeddings.tokenization.ngrams` compute the same.
"""

from __future__ import annotations

import ctypes
import logging
import sysconfig
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger("vecformer")

FILE = Path(__file__).with_name("_words" + str(sysconfig.get_config_var("EXT_SUFFIX")))
ABI_VERSION = 2  # that of words.cpp

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64


def available() -> bool:
    """Return whether the library can be used."""
    return _library() is not None


class NativeInterner:
    """Words and their ids; words that are looked up are added."""

    def __init__(self) -> None:
        library = _library()
        assert library is not None, "available() must be checked first"
        self._library = library
        self._handle = library.vecformer_vocabulary_new()
        weakref.finalize(self, library.vecformer_vocabulary_free, self._handle)

    def __len__(self) -> int:
        return int(self._library.vecformer_vocabulary_size(self._handle))

    def __getitem__(self, number: int) -> str:
        text = _POINTER()
        size = self._library.vecformer_vocabulary_word(self._handle, number, ctypes.byref(text))
        return ctypes.string_at(text, size).decode() if size else ""

    def intern(self, words: Sequence[str]) -> NDArray[np.int32]:
        """Look up the ids of words. *Shape:* ``(n_words,)``, int32."""
        text, ends = _joined(words)
        ids = np.empty(len(words), dtype=np.int32)
        self._library.vecformer_lookup(self._handle, text, ends.ctypes.data, len(words), ids.ctypes.data)
        return ids

    def tokenize(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Tokenise normalised ASCII texts and look up their words.

        Returns:
            The ids of each text, int32. *Shape:* ``(n_words,)``.
        """
        text, ends = _joined(texts)
        ids, n_words = np.empty(len(text), dtype=np.int32), np.empty(len(texts), dtype=np.int64)
        n = self._library.vecformer_tokenize(self._handle, text, ends.ctypes.data, len(texts), ids.ctypes.data,
                                             n_words.ctypes.data)
        return np.split(ids[:n].copy(), n_words.cumsum()[:-1]) if texts else []


def count_ngrams(
    words: Sequence[str], characters: Sequence[str], *, longest_words: int, lengths: tuple[int, int], half: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """Count the n-grams of words and of characters of texts in hashed buckets.

    Args:
        words: the words of each text, separated by a space.
        characters: the words of each text between white space, separated by a space, with a space at both ends; ""
            for a text without any.
        longest_words: length of the longest n-gram of words.
        lengths: lengths of the shortest and the longest n-gram of characters.
        half: number of buckets for the n-grams of words, and of those for characters, which follow; a power of two.

    Returns:
        The buckets of each text in ascending order, *shape* ``(n_entries,)``, the counts in these buckets, *shape*
        ``(n_entries,)``, and the number of buckets of each text, *shape* ``(n_texts,)``.
    """
    library = _library()
    assert library is not None, "available() must be checked first"
    (words_text, word_ends), (characters_text, character_ends) = _joined(words), _joined(characters)
    n_words, n_padded = (sum(text.count(" ") + 1 for text in texts) for texts in (words, characters))
    size = longest_words * n_words + (lengths[1] - lengths[0] + 1) * (len(characters_text) + n_padded)
    columns, counts = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float32)
    n_columns = np.empty(len(words), dtype=np.int64)
    n = library.vecformer_count_ngrams(
        words_text, word_ends.ctypes.data, characters_text, character_ends.ctypes.data, len(words), longest_words,
        *lengths, half, columns.ctypes.data, counts.ctypes.data, n_columns.ctypes.data)
    return columns[:n].copy(), counts[:n].copy(), n_columns


def _joined(texts: Sequence[str]) -> tuple[bytes, NDArray[np.int64]]:
    """Return all texts as UTF-8, and the byte offset of the end of each."""
    encoded = [text.encode() for text in texts]
    return b"".join(encoded), np.cumsum([len(text) for text in encoded], dtype=np.int64)


@cache
def _library() -> ctypes.CDLL | None:
    if not FILE.exists():
        return None
    library = ctypes.CDLL(str(FILE))
    if _abi_version(library) != ABI_VERSION:
        log.warning("%s was built from other sources and is not used: run `pip install -e .` again", FILE)
        return None
    library.vecformer_vocabulary_new.restype = _POINTER
    library.vecformer_vocabulary_free.argtypes = [_POINTER]
    library.vecformer_vocabulary_size.argtypes, library.vecformer_vocabulary_size.restype = [_POINTER], _INT
    library.vecformer_vocabulary_word.argtypes = [_POINTER, _INT, ctypes.POINTER(_POINTER)]
    library.vecformer_vocabulary_word.restype = _INT
    library.vecformer_lookup.argtypes = [_POINTER, ctypes.c_char_p, _POINTER, _INT, _POINTER]
    library.vecformer_lookup.restype = None
    library.vecformer_tokenize.argtypes = [_POINTER, ctypes.c_char_p, _POINTER, _INT, _POINTER, _POINTER]
    library.vecformer_tokenize.restype = _INT
    library.vecformer_count_ngrams.argtypes = [ctypes.c_char_p, _POINTER, ctypes.c_char_p, _POINTER, *[_INT] * 5,
                                               *[_POINTER] * 3]
    library.vecformer_count_ngrams.restype = _INT
    return library


def _abi_version(library: ctypes.CDLL) -> int:
    """Return the ABI version of a library; 0 if it does not have any."""
    try:
        function = library.vecformer_abi
    except AttributeError:
        return 0
    function.restype = _INT
    return int(function())
