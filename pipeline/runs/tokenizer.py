"""The tokenizer of a run and its vocabulary: words of the text, or subwords of a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from embeddings.errors import EmbeddingError
from embeddings.formats.checkpoint_layouts import tokenizer_file
from embeddings.formats.hf_checkpoint import find_checkpoint
from embeddings.special_tokens import N_SPECIAL
from embeddings.table.paths import from_written
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.tokenization.subword_training import KINDS, parse_kind, train_subwords
from embeddings.tokenization.subwords import SubwordTokenizer
from embeddings.tokenization.tokenizer import WordTokenizer, stored_units
from embeddings.tokenization.vocabulary import build_vocabulary
from pipeline.data.config import DataConfig
from pipeline.errors import DataError

OF_WORDS = ("data.fold_digits", "data.han", "data.max_words", "data.min_count", "data.unseen_words")
OF_TRAINING = ("data.lowercase", "data.strip_accents")
OF_SUBWORDS = ("data.tokenizer",)


def keys_without_effect(data: DataConfig, changed: Iterable[str]) -> list[str]:
    """Return which of these keys of the configuration have no effect with the tokens of ``data.units``."""
    if data.units != "subwords":
        return [key for key in changed if key in OF_SUBWORDS]
    return [key for key in changed if key in OF_WORDS or (tokenizer_location(data) and key in OF_TRAINING)]


def tokenizer_location(data: DataConfig) -> str:
    """Return the file or checkpoint from which subwords are read; "" if they are trained, or for words."""
    return data.tokenizer if data.units == "subwords" and parse_kind(data.tokenizer) is None else ""


def make_tokenizer(data: DataConfig, texts: Sequence[Text]) -> TextTokenizer:
    """Make the tokenizer that ``data.units`` and ``data.tokenizer`` ask for.

    Args:
        data: the configuration.
        texts: texts on which a subword tokenizer is trained, if one is.

    Raises:
        EmbeddingError: if there is no such tokenizer, or it is damaged.
    """
    if data.units != "subwords":
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
    path = subwords_file(location)
    try:
        return SubwordTokenizer.from_json(path.read_text(encoding="utf-8"))
    except (EmbeddingError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare Exception, and BaseException for a panic
        raise EmbeddingError(f"{path}: not a tokenizer.json of subwords ({error!r}); download or write it again"
                             ) from error


def subwords_file(location: str) -> Path:
    """Return the ``tokenizer.json`` that :func:`read_subwords` reads.

    Raises:
        EmbeddingError: if there is neither such a file nor such a checkpoint.
    """
    try:
        path = Path(location).expanduser()
        return path if path.is_file() else tokenizer_file(find_checkpoint(location))
    except EmbeddingError as error:
        raise EmbeddingError(f"data.tokenizer = {location!r}: neither {', '.join(KINDS)} nor a tokenizer.json "
                             f"({error})") from error


def load_tokenizer(path: Path) -> TextTokenizer:
    """Read the ``tokenizer.json`` of a run.

    Raises:
        EmbeddingError: if the file is missing or damaged.
    """
    return read_subwords(str(path)) if stored_units(path) == SubwordTokenizer.units else WordTokenizer.load(path)
