"""Special tokens and their ids, shared by both stages and every saved tokenizer."""

from __future__ import annotations

PAD, UNK, START, END, MASK = SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")
PAD_ID, UNK_ID, START_ID, END_ID, MASK_ID = range(len(SPECIAL_TOKENS))
N_SPECIAL = len(SPECIAL_TOKENS)
"""Rows of an embedding matrix before the first word of the vocabulary."""
