"""The keys of words in spaCy's files: 64-bit hashes, and the numbers of spaCy's symbols.

The hash is MurmurHash64A (Austin Appleby, https://github.com/aappleby/smhasher/blob/master/src/MurmurHash2.cpp) with
seed 1, of the UTF-8 bytes of the word (https://spacy.io/api/stringstore#hash_string). The names of attributes, parts of
speech, entities and dependencies (``spacy/symbols.pyx``) have numbers instead; some of them are words, such as
``number`` and ``agent``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

SEED = 1
MULTIPLIER = np.uint64(0xC6A4A7935BD1E995)
SHIFT = np.uint64(47)
BLOCK = 8  # bytes

SYMBOLS = {name: number for first, names in (
    (64, "ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS TAG DEP ENT_IOB ENT_TYPE HEAD SENT_START "
         "SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X EOL "
         "SPACE"),
    (380, "PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT WORK_OF_ART LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY "
          "ORDINAL CARDINAL acomp advcl advmod agent amod appos attr aux auxpass cc ccomp complm conj cop csubj "
          "csubjpass dep det dobj expl hmod hyph infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass num "
          "number oprd obj obl parataxis partmod pcomp pobj poss possessive preconj prep prt punct quantmod relcl "
          "rcmod root xcomp acl ENT_KB_ID MORPH ENT_ID IDX _"),
) for number, name in enumerate(names.split(), start=first)}
"""Numbers of the symbols that may be words; those of flags and of features such as ``Case_abl`` are left out."""


def keys_of(words: Sequence[str]) -> Keys:
    """Return the keys of words in spaCy's files. *Shape:* ``(n_words,)``."""
    keys = murmur_hashes([word.encode("utf-8", errors="replace") for word in words])
    for place, word in enumerate(words):
        if word in SYMBOLS:
            keys[place] = SYMBOLS[word]
    return keys


def murmur_hashes(texts: Sequence[bytes]) -> Keys:
    """Compute MurmurHash64A of each text, with seed 1; texts of equal length are hashed together.

    Returns:
        *Shape:* ``(n_texts,)``.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    order = np.argsort(lengths, kind="stable")
    hashes = np.empty(len(texts), np.uint64)
    changes = np.flatnonzero(np.diff(lengths[order])) + 1
    for places in np.split(order, changes) if len(texts) else ():
        hashes[places] = _of_equal_length(b"".join(map(texts.__getitem__, places)), len(places))
    return hashes


def _of_equal_length(joined: bytes, n: int) -> Keys:
    """Hash ``n`` texts of equal length, given one after the other."""
    length = len(joined) // n
    padded = np.zeros((n, -(-length // BLOCK) * BLOCK), np.uint8)
    padded[:, :length] = np.frombuffer(joined, np.uint8).reshape(n, length)
    blocks = padded.view("<u8").astype(np.uint64)  # (n, n_blocks), the last one filled up with zeros
    n_whole = length // BLOCK
    hashes: Keys = np.full(n, SEED, np.uint64) ^ (np.full(n, length, np.uint64) * MULTIPLIER)
    for block in blocks[:, :n_whole].T:
        mixed = block * MULTIPLIER
        mixed ^= mixed >> SHIFT
        hashes = (hashes ^ (mixed * MULTIPLIER)) * MULTIPLIER
    for rest in blocks[:, n_whole:].T:
        hashes = (hashes ^ rest) * MULTIPLIER
    hashes = (hashes ^ (hashes >> SHIFT)) * MULTIPLIER
    hashes ^= hashes >> SHIFT
    return hashes
