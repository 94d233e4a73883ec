"""The vocabulary of an exported model, its ``tokenizer.json``, and texts of its words. Several formats share them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, processors

from embeddings.special_tokens import END, END_ID, MASK, N_SPECIAL, START, START_ID
from embeddings.table.arguments import setting
from embeddings.table.atomic_files import write_atomically
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.renumbered import renumbered_json
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.token_text import UNDECODED
from pipeline.config import RunConfig
from pipeline.errors import ExportError
from pipeline.runs.trained import TrainedRun
from pipeline.word_vectors import unseen_words

N_TEXTS, LONGEST = 6, 20

BERT_TEXT, BERT_PAIR = f"{START} $A {END}", f"{START} $A {END} $B:1 {END}:1"
LINE = f"{END} $A"


def require_characters(config: RunConfig, origin: str) -> None:
    """Require that ``tokenizer.json`` can represent the splitting of Chinese.

    Raises:
        ExportError: if Chinese is split into words.
    """
    if config.data.han == "words" and config.data.units != "subwords":
        raise ExportError(f"{origin}: data.han=words: tokenizer.json cannot represent the splitting of Chinese into "
                          f"words; train with {setting('data.han=characters')}")


def require_whole_words(config: RunConfig, target: str, origin: str, *, advice: str = "") -> None:
    """Require that the tokens of a run are words.

    Args:
        config: the configuration of the run.
        target: what cannot represent subwords, for the message.
        origin: the run folder, for the message.
        advice: what else can be done, besides training with words.

    Raises:
        ExportError: if they are subwords.
    """
    if config.data.units == "subwords":
        raise ExportError(f"{origin}: data.units={config.data.units}: {target} cannot find the words that subwords "
                          f"belong to; {advice}train with {setting('data.units=words')}")


def add_unseen(trained: TrainedRun, n: int, *, first: Iterable[str] = ()) -> Sequence[str]:
    """Append the vectors of words not seen in training to the embedding layer, and return these words.

    Args:
        trained: the run.
        n: maximum number of words.
        first: words to take before those of the source, as the tokenizer produces them.
    """
    tokenizer, table = trained.tokenizer, trained.table
    seen = set(tokenizer.vocabulary())
    folded = dict.fromkeys(chain(first, map(tokenizer.fold, table.words)))
    new = (word for word in folded if word not in seen and tokenizer.can_produce(word))
    found = unseen_words(table, islice(new, min(n, sys.maxsize)), parse_policy(trained.config.unknown))
    trained.embedding.extend(found)
    return found.words


def extended(tokenizer: TextTokenizer, extra: Iterable[str]) -> TextTokenizer:
    """Return a tokenizer with further words."""
    return tokenizer.with_vocabulary([*tokenizer.vocabulary()[N_SPECIAL:], *extra])


def write_tokenizer_json(
    tokenizer: TextTokenizer, path: Path, *, single: str = "", pair: str = "", special: Sequence[str] = (),
    max_length: int = 0,
) -> None:
    """Write ``tokenizer.json``.

    Args:
        tokenizer: the tokenizer.
        path: the file.
        single: template of a text with its special tokens; "" for none.
        pair: template of a pair of texts; "" if there are no pairs.
        special: special tokens that a text can contain.
        max_length: maximum length, to which the library truncates; 0 for none.
    """
    theirs = Tokenizer.from_str(
        renumbered_json(tokenizer) if isinstance(tokenizer, SubwordTokenizer) else tokenizer.to_json())
    if special:
        theirs.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    if single:
        theirs.post_processor = processors.TemplateProcessing(
            single=single, pair=pair or f"{single} $B", special_tokens=[(START, START_ID), (END, END_ID)])
    if max_length:
        theirs.enable_truncation(max_length)
    write_atomically(path, theirs.to_str(pretty=True))  # an error while the library writes has no class of its own


def random_texts(
    trained: TrainedRun, tokenizer: TextTokenizer, *, pairs: bool, masks: bool = False
) -> list[tuple[str, str]]:
    """Return texts of random words, or pairs of them; with ``masks``, each begins with the token ``<mask>``."""
    random = np.random.default_rng(0)
    words = _written(tokenizer)
    longest = max(1, min(LONGEST, (trained.config.data.max_length - 3) // 2))
    drawn = [" ".join(random.choice(words, random.integers(1, longest + 1))) for _ in range(2 * N_TEXTS)]
    firsts, seconds = drawn[:N_TEXTS], drawn[N_TEXTS:]
    if masks:
        return [(f"{MASK} {text}", "") for text in firsts]
    return list(zip(firsts, seconds if pairs else [""] * N_TEXTS, strict=True))


def _written(tokenizer: TextTokenizer) -> Sequence[str]:
    """Return the words of a vocabulary, or the texts that are one subword."""
    if not isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.vocabulary()[N_SPECIAL:]
    texts = [token.text for token in tokenizer.texts_of_tokens()
             if token.text and UNDECODED not in token.text and not any(map(str.isspace, token.text))]
    return [text for text, ids in zip(texts, tokenizer.encode(texts), strict=True) if len(ids) == 1]
