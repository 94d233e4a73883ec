"""Shared by both peers: texts, a word-level tokenizer over their vocabulary, and a BERT of a given size."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

PAD, UNKNOWN = "[PAD]", "[UNK]"


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the common options."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("file", type=Path, help="texts and labels as JSON Lines")
    for name, default in (("d-model", 128), ("n-layers", 2), ("n-heads", 4), ("d-ff", 256), ("max-length", 256),
                          ("batch-size", 16), ("threads", 2)):
        made.add_argument(f"--{name}", type=int, default=default)
    made.add_argument("--bfloat16", action="store_true", help="compute in bfloat16 instead of float32")
    return made


def read(path: Path) -> tuple[list[str], list[str]]:
    """Read texts and labels."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [line["text"] for line in lines], [line["label"] for line in lines]


def word_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer with BERT's pre-tokenization, without subwords, and the vocabulary of the texts."""
    tokenizer = Tokenizer(models.WordLevel({PAD: 0, UNKNOWN: 1}, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.BertPreTokenizer()
    words = {PAD: 0, UNKNOWN: 1}
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text)):
            words.setdefault(word, len(words))
    tokenizer.model = models.WordLevel(words, unk_token=UNKNOWN)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNKNOWN)


def classifier(tokenizer: PreTrainedTokenizerFast, n_labels: int, given: argparse.Namespace) -> (
        BertForSequenceClassification):
    """Return a BERT with random weights and the default dropout of 0.1."""
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(
        vocab_size=len(tokenizer), hidden_size=given.d_model, num_hidden_layers=given.n_layers,
        num_attention_heads=given.n_heads, intermediate_size=given.d_ff, num_labels=n_labels,
        max_position_embeddings=given.max_length))
