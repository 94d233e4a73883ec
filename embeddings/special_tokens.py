"""The special tokens and their ids, defined once: both stages and every saved tokenizer share them."""

from __future__ import annotations

PAD, UNK, START, END, MASK = SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
PAD_ID, UNK_ID, START_ID, END_ID, MASK_ID = range(len(SPECIAL_TOKENS))
N_SPECIAL = len(SPECIAL_TOKENS)
"""Rows of an embedding matrix before the first word of the vocabulary."""
