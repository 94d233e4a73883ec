"""The tokenizer of a run and its vocabulary: words of the text, or subwords of a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from embeddings.errors import EmbeddingError
from embeddings.formats.checkpoint_layouts import tokenizer_file
from embeddings.formats.hf_checkpoint import find_checkpoint
from embeddings.special_tokens import N_SPECIAL
from embeddings.table.paths import from_written
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.tokenization.subword_training import KINDS, parse_kind, train_subwords
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.tokenizer import OUR_KEY, WordTokenizer
from embeddings.tokenization.vocabulary import build_vocabulary
from pipeline.data.config import DataConfig
from pipeline.errors import DataError


def make_tokenizer(data: DataConfig, texts: Sequence[Text]) -> TextTokenizer:
    """Make the tokenizer that ``data.units`` and ``data.tokenizer`` ask for.

    Args:
        data: the configuration.
        texts: texts on which a subword tokenizer is trained, if one is.

    Raises:
        EmbeddingError: if there is no such tokenizer, or it is damaged.
    """
    if data.units == "words":
        return WordTokenizer(lowercase=data.lowercase, strip_accents=data.strip_accents, fold_digits=data.fold_digits,
                             han=data.han)
    if kind := parse_kind(data.tokenizer):
        return train_subwords(kind, texts, lowercase=data.lowercase, strip_accents=data.strip_accents)
    return read_subwords(from_written(data.tokenizer))


def vocabulary_of(tokenizer: TextTokenizer, counts: Mapping[str, int], data: DataConfig) -> dict[str, int]:
    """Return the tokens of a run's vocabulary in the order of their ids, with their counts in the text.

    These are the words of the text that are frequent enough, or all subwords.

    Raises:
        DataError: if there are none.
    """
    if isinstance(tokenizer, SubwordTokenizer):
        return {token: counts.get(token, 0) for token in tokenizer.vocabulary()[N_SPECIAL:]}
    vocabulary = build_vocabulary(counts, min_count=data.min_count, max_words=data.max_words or None)
    if not vocabulary:
        raise DataError(f"{data.path or 'the texts'}: no word occurs {data.min_count} times in the training texts; "
                        "lower data.min_count")
    return vocabulary


def read_subwords(location: str) -> SubwordTokenizer:
    """Read the ``tokenizer.json`` of this name, or that of a checkpoint.

    Args:
        location: a file, a folder, an installed package, or a name on Hugging Face.

    Raises:
        EmbeddingError: if there is none, or it is damaged.
    """
    try:
        path = Path(location).expanduser()
        if not path.is_file():
            path = tokenizer_file(find_checkpoint(location))
    except EmbeddingError as error:
        raise EmbeddingError(f"data.tokenizer = {location!r}: neither {', '.join(KINDS)} nor a tokenizer.json "
                             f"({error})") from error
    try:
        return SubwordTokenizer.from_json(path.read_text(encoding="utf-8"))
    except (EmbeddingError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare Exception, and BaseException for a panic
        raise EmbeddingError(f"{path}: not a tokenizer.json of subwords ({error!r}); download or write it again"
                             ) from error


def load_tokenizer(path: Path) -> TextTokenizer:
    """Read the ``tokenizer.json`` of a run.

    Raises:
        EmbeddingError: if the file is missing or damaged.
    """
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        units = described["model"][OUR_KEY]["units"]
    except (OSError, ValueError, KeyError, TypeError):
        units = WordTokenizer.units
    return read_subwords(str(path)) if units == SubwordTokenizer.units else WordTokenizer.load(path)
