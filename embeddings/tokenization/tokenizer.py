"""The word tokenizer of both stages, saved with a run as ``tokenizer.json``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import PreTokenizedString, Tokenizer, models

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import SPECIAL_TOKENS, UNK, UNK_ID
from embeddings.table.validation import validated
from embeddings.tokenization.chinese import chinese_segmenter
from embeddings.tokenization.interface import Span, Text, TextTokenizer, encodable, text_key
from embeddings.tokenization.interning import TokenInterner, token_interner
from embeddings.tokenization.word_pattern import BELONGING, FOREIGN, HAN, PLAIN, WordRule, word_pattern

OUR_KEY = "vecformer"  # our additions to "model" in the file, which the library ignores
BATCH = 4096          # texts that are tokenised together
MIN_INTERNED = 64     # texts from which interning the vocabulary first takes less time than the library
MAX_STORED = 100_000  # pieces whose words are stored, such as words with accents, which occur again and again
LONGEST_STORED = 64   # characters of such a piece


class WordTokenizer(TextTokenizer):
    """Splits text of any script into words and punctuation, and maps words to ids.

    The ids 0 to 4 are padding, the unknown word, the start and end of a text, and the mask; text cannot produce their
    names (``<pad>`` ...), because the brackets are split off as punctuation. The definition of a word is in
    :mod:`embeddings.tokenization.word_pattern`. Words that are already split are only normalised.

    Args:
        words: the vocabulary in the order of its ids, without the special tokens; a mapping also supplies their counts
            in the text.
        lowercase: convert to lower case.
        strip_accents: remove accents from Latin, Greek and Cyrillic letters.
        fold_digits: replace every digit by 0.
        han: split Chinese into ``characters``, or into ``words`` with the extra ``zh``.

    Attributes:
        counts: count of each word of the vocabulary in the text; None if unknown.

    Raises:
        EmbeddingError: if ``han="words"`` and jieba is not installed.
    """

    units = "words"

    def __init__(
        self, words: Iterable[str] = (), *, lowercase: bool = True, strip_accents: bool = False,
        fold_digits: bool = False, han: Literal["characters", "words"] = "characters",
    ) -> None:
        rule = WordRule(lowercase=lowercase, strip_accents=strip_accents, fold_digits=fold_digits, han=han)
        counts = dict(words) if isinstance(words, Mapping) else None
        self._set_up(_without_vocabulary(rule), rule, counts)
        self._fill(words)

    def _fill(self, words: Iterable[str]) -> None:
        """Set the vocabulary."""
        vocabulary = {word: i for i, word in enumerate((*SPECIAL_TOKENS, *words))}
        self._tokenizer.model = models.WordLevel(vocabulary, unk_token=UNK)

    def _set_up(self, tokenizer: Tokenizer, rule: WordRule, counts: dict[str, int] | None) -> None:
        self._tokenizer, self._rule, self.counts = tokenizer, rule, counts
        self._cached_encodings: Mapping[str | tuple[str, ...], NDArray[np.int32]] = {}
        self._splits: dict[str, list[str]] = {}
        self._normalizer, self._pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        self._segment_han = chinese_segmenter() if rule.han == "words" else None
        # A file of an earlier version contains another pattern, which may differ from PLAIN.
        self._has_our_pattern = word_pattern(rule.han) in _pattern(tokenizer)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def lowercase(self) -> bool:
        """Whether text is converted to lower case."""
        return self._rule.lowercase

    @property
    def rule(self) -> WordRule | None:
        """The definition of a word; None if the file of an earlier version has another pattern."""
        return self._rule if self._has_our_pattern else None

    def words(self, text: Text) -> list[str]:
        """Split a text into words, including out-of-vocabulary words."""
        if not isinstance(text, str):
            return [self.fold(word) for word in text]
        return [word for piece in self._pieces(text)
                for word in (PLAIN.findall(piece) if isinstance(piece, str) else piece)]

    def _pieces(self, text: str) -> Iterator[str | list[str]]:
        """Yield the parts of a text: normalised ASCII as a string, and the words of parts split by the library."""
        if not self._has_our_pattern:
            yield self._split(text)
            return
        if text.isascii():
            yield self._rule.fold_plain(text)
            return
        end = 0
        while foreign := FOREIGN.search(text, end):  # from space to space, so that no word is divided
            start = text.rfind(" ", end, foreign.start()) + 1 or end
            yield self._rule.fold_plain(text[end:start])
            end = text.find(" ", foreign.end())
            if end < 0:
                yield self._split(text[start:])
                return
            yield self._split(text[start:end])
        yield self._rule.fold_plain(text[end:])

    def intern(self, texts: Sequence[Text], interner: TokenInterner) -> list[NDArray[np.int32]]:
        """Tokenize texts as :meth:`words`, and intern their words: new words get new ids.

        Returns:
            For each text the ids of its words, int32. *Shape:* ``(n_words,)``.
        """
        split = [list(self._pieces(text)) if isinstance(text, str) else [[*map(self.fold, text)]] for text in texts]
        plain = iter(interner.tokenize([piece for pieces in split for piece in pieces if isinstance(piece, str)]))
        foreign = [piece for pieces in split for piece in pieces if not isinstance(piece, str)]
        foreign_ids = interner.intern([word for piece in foreign for word in piece])
        others = iter(np.split(foreign_ids, np.cumsum([len(piece) for piece in foreign])))
        ids = [[next(plain if isinstance(piece, str) else others) for piece in pieces] for pieces in split]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in ids]

    def _split(self, text: str) -> list[str]:
        """Split a text of any characters by the library; the words of short ones are stored for the next time."""
        found = self._splits.get(text)
        if found is None:
            found = self._split_by_library(text)
            if len(text) <= LONGEST_STORED:
                if len(self._splits) == MAX_STORED:
                    self._splits.clear()
                self._splits[text] = found
        return found

    def _split_by_library(self, text: str) -> list[str]:
        words = [word for word, _ in self._pre_tokenizer.pre_tokenize_str(self._folded(text))]
        if self._segment_han is None:
            return words
        return [part for word in words for part in self._parts(word)]

    def spans(self, text: str) -> list[Span]:
        """Split a text into words with their positions in the original text.

        Positions are in characters (code points); ``fold(text[start:end])`` is the word, after normalisation and
        composition (NFC).
        """
        if self._has_our_pattern and text.isascii():
            return [Span(match[0], *match.span()) for match in PLAIN.finditer(self._rule.fold_plain(text))]
        pieces = PreTokenizedString(encodable(text))
        pieces.normalize(self._normalizer.normalize)
        self._pre_tokenizer.pre_tokenize(pieces)
        if self._segment_han is not None:
            pieces.split(self._split_han)
        found = [(word, place) for word, place, _ in pieces.get_splits("original", "char")]
        following = [start for _, (start, _) in found[1:]] + [len(text)]
        return [Span(word, start, _end(text, end, limit))
                for (word, (start, end)), limit in zip(found, following, strict=False)]

    def fold(self, word: str) -> str:
        """Normalise a word: case, accents and digits, according to the options."""
        return self._rule.fold_plain(word) if self._has_our_pattern and word.isascii() else self._folded(word)

    def can_produce(self, word: str) -> bool:
        """Return whether some text yields exactly this word (none yields ``new-york``, or ``Paris`` in lower case)."""
        if not (word.isascii() and self._has_our_pattern):
            return self.words(word) == [word]
        if word.isalpha() and word.islower():
            return True  # letters are never split
        found = PLAIN.match(word)
        return found is not None and found.end() == len(word) and self._rule.fold_plain(word) == word

    def producible(self, words: Iterable[str]) -> list[bool]:
        """Return for each word whether some text yields the word that it is when it is normalised."""
        if not self._has_our_pattern:
            return super().producible(words)
        fold, first = self._rule.fold_plain, PLAIN.match
        return [((word.isalpha() and word.islower())  # the common case
                 or ((found := first(folded := fold(word))) is not None and found.end() == len(folded)))
                if word.isascii() else self.can_produce(self.fold(word)) for word in words]

    def encode(self, texts: Sequence[Text], *, max_length: int | None = None) -> list[NDArray[np.int32]]:
        """Encode texts; out-of-vocabulary words get the id of ``<unk>``.

        Args:
            texts: strings, or sequences of words.
            max_length: maximum number of words; longer texts are truncated.

        Returns:
            For each text the ids of its words, int32. *Shape:* ``(n_words,)``.
        """
        if not self._cached_encodings:
            if len(texts) >= MIN_INTERNED and 2 * sum(map(_is_plain, texts)) >= len(texts):
                return self._encode_by_interning(texts, max_length)
            if all(isinstance(text, str) for text in texts) and self._segment_han is None:
                return self._encode_by_library(texts, max_length)
        found = [self._cached_encodings.get(text_key(text)) for text in texts]
        ids_of = self._tokenizer.get_vocab() if any(ids is None for ids in found) else {}
        return [
            np.array([ids_of.get(word, UNK_ID) for word in self.words(text)[:max_length]], dtype=np.int32)
            if ids is None else ids[:max_length] for text, ids in zip(texts, found, strict=True)
        ]

    def _encode_by_library(self, texts: Sequence[Text], max_length: int | None) -> list[NDArray[np.int32]]:
        return [np.array(encoding.ids[:max_length], dtype=np.int32)
                for start in range(0, len(texts), BATCH)
                for encoding in self._tokenizer.encode_batch_fast(
                    [encodable(str(text)) for text in texts[start : start + BATCH]], add_special_tokens=False)]

    def _encode_by_interning(self, texts: Sequence[Text], max_length: int | None) -> list[NDArray[np.int32]]:
        """Encode texts by compiled code, which tokenises ASCII; the first numbers are those of the vocabulary."""
        interner = token_interner(self._vocabulary)
        numbered = (ids[:max_length] for start in range(0, len(texts), BATCH)
                    for ids in self.intern(texts[start : start + BATCH], interner))
        return [np.where(ids < len(self), ids, np.int32(UNK_ID)) for ids in numbered]

    def count(self, texts: Iterable[Text]) -> Counter[str]:
        """Count the words of the texts."""
        interner, counts, rest = token_interner(()), np.zeros(0, dtype=np.int64), iter(texts)
        while batch := list(islice(rest, BATCH)):
            ids = np.concatenate([np.zeros(0, dtype=np.int32), *self.intern(batch, interner)])
            counts = np.bincount(ids, minlength=len(interner)) + np.pad(counts, (0, len(interner) - len(counts)))
        return Counter({interner[i]: n for i, n in enumerate(counts.tolist())})

    def cache_encodings(self, encodings: Mapping[str | tuple[str, ...], NDArray[np.int32]]) -> None:
        """Set the ids of texts that were encoded before, for :meth:`encode`. *Shape* of each: ``(n_words,)``."""
        self._cached_encodings = encodings

    def vocabulary(self) -> tuple[str, ...]:
        """Return all words in the order of their ids, the special tokens first."""
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> tuple[str, ...]:
        ids: dict[str, int] = self._tokenizer.get_vocab()
        return tuple(sorted(ids, key=ids.__getitem__))

    def with_vocabulary(self, words: Iterable[str]) -> WordTokenizer:
        """Return a tokenizer with the same options and another vocabulary (a mapping also supplies the counts)."""
        tokenizer = WordTokenizer(words, **asdict(self._rule))
        if not self._has_our_pattern:
            tokenizer._tokenizer.normalizer, tokenizer._tokenizer.pre_tokenizer = self._normalizer, self._pre_tokenizer
            tokenizer._set_up(tokenizer._tokenizer, self._rule, tokenizer.counts)
        return tokenizer

    def to_json(self) -> str:
        """Return the content of ``tokenizer.json``."""
        described = json.loads(self._tokenizer.to_str(pretty=False))
        counts = None if self.counts is None else list(self.counts.values())
        described["model"][OUR_KEY] = {**asdict(self._rule), "counts": counts}
        return json.dumps(described, ensure_ascii=False)

    @classmethod
    def load(cls, path: Path) -> WordTokenizer:
        """Read a ``tokenizer.json`` written by this or an earlier version.

        Raises:
            EmbeddingError: if the file is missing or is not a word tokenizer.
        """
        try:
            text = path.read_text(encoding="utf-8")
            described = json.loads(text)
            _require_consecutive_ids(described)  # the library allocates memory for every id up to the largest
            tokenizer = Tokenizer.from_str(text)
            tokenizer.no_padding()
            tokenizer.no_truncation()
            if tuple(map(tokenizer.token_to_id, SPECIAL_TOKENS)) != tuple(range(len(SPECIAL_TOKENS))):
                raise ValueError(f"its first tokens must be {' '.join(SPECIAL_TOKENS)}")
            stored = described["model"].get(OUR_KEY)
            counts = stored.pop("counts") if stored else None
            rule = validated(WordRule, stored or {"lowercase": tokenizer.normalizer.normalize_str("A") == "a"})
            loaded = cls.__new__(cls)
            loaded._set_up(tokenizer, rule, None)
            if counts is not None:
                loaded.counts = dict(zip(loaded.vocabulary()[len(SPECIAL_TOKENS):], map(int, counts), strict=True))
            loaded.spans("Été")  # the normaliser and the pattern are used
            return loaded
        except (EmbeddingError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the library raises bare Exception, and BaseException for a panic
            raise EmbeddingError(f"{path}: not the tokenizer.json of a word tokenizer, or damaged ({error!r}); restore "
                                 "it from a copy") from error

    def _folded(self, text: str) -> str:
        folded: str = self._normalizer.normalize_str(encodable(text))
        return folded

    def _parts(self, word: str) -> list[str]:
        return self._segment_han(word) if self._segment_han and len(word) > 1 and HAN.match(word) else [word]

    def _split_han(self, _number: int, piece: Any) -> list[Any]:
        """Split a ``NormalizedString``, which keeps its position, as :meth:`_parts` splits a word."""
        pieces, start = [], 0
        for part in self._parts(piece.normalized):
            pieces.append(piece[start : start + len(part)])
            start += len(part)
        return pieces


def _is_plain(text: Text) -> bool:
    return isinstance(text, str) and text.isascii()


def stored_units(path: Path) -> str:
    """Return the kind of the tokens of the ``tokenizer.json`` of a run: ``words`` or ``subwords``."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model"][OUR_KEY]["units"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return WordTokenizer.units


def _require_consecutive_ids(described: Any) -> None:
    """Raise ValueError unless the ids of the words are 0, 1, 2, …, and there are no tokens besides them."""
    ids = described["model"]["vocab"]
    if not all(type(number) is int for number in ids.values()) or set(ids.values()) != set(range(len(ids))):
        raise ValueError(f"the ids of its {len(ids):,} words are not 0 to {len(ids) - 1}")
    for token in described.get("added_tokens") or ():
        if ids.get(token["content"]) != token["id"]:
            raise ValueError(f"the added token {token['content']!r} is not in its vocabulary")


def _end(text: str, end: int, limit: int) -> int:
    """Return the true end of a word: the library omits final accents that became part of a composed character."""
    match = BELONGING.match(text, end, limit)
    return match.end() if match else end


def _without_vocabulary(rule: WordRule) -> Tokenizer:
    """Return a tokenizer with an empty vocabulary."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNK))
    tokenizer.normalizer, tokenizer.pre_tokenizer = rule.normalizer(), rule.pre_tokenizer()
    return tokenizer


def _pattern(tokenizer: Tokenizer) -> list[str]:
    described = json.loads(tokenizer.to_str())["pre_tokenizer"]
    return [described["pattern"].get("Regex")] if described and described["type"] == "Split" else []
