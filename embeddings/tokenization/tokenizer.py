"""Text to words to ids: the one tokenizer that both stages share, saved with a run as ``tokenizer.json``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from tokenizers import PreTokenizedString, Tokenizer, models

from embeddings.errors import EmbeddingError
from embeddings.special_tokens import SPECIAL_TOKENS, UNK, UNK_ID
from embeddings.tokenization.chinese import chinese_segmenter
from embeddings.tokenization.interning import TokenInterner
from embeddings.tokenization.word_pattern import BELONGING, FOREIGN, HAN, PLAIN, WordRule, word_pattern

OURS = "vecformer"  # what we add to the file's "model", where the library reads past it


Text = str | Sequence[str]
"""Running text, or words that were cut already and stay whole."""


class Span(NamedTuple):
    """A word and where it stands in the text as it was given, in characters: ``text[start:end]``."""

    word: str
    start: int
    end: int


class WordTokenizer:
    """Cuts text into words and punctuation, in any script, and numbers those it knows.

    The ids 0 to 4 are padding, the unknown word, the start and end of a text, and the mask; running text can never
    produce their names (``<pad>`` ...), because the brackets are cut off as punctuation. How text is cut:
    :mod:`embeddings.tokenization.word_pattern`. Words that were cut already are only folded.

    Args:
        words: the vocabulary in the order of its ids, without the special words; a mapping gives how often each
            stands in the text as well.
        lowercase: fold case.
        strip_accents: take the accents off Latin, Greek and Cyrillic letters.
        fold_digits: turn every digit into 0.
        han: cut Chinese into ``characters``, or into ``words`` with the extra ``zh``.

    Attributes:
        counts: how often each word of the vocabulary stands in the text; None if that is not known.

    Raises:
        EmbeddingError: if Chinese is to be cut into words and jieba is not installed.
    """

    def __init__(
        self, words: Iterable[str] = (), *, lowercase: bool = True, strip_accents: bool = False,
        fold_digits: bool = False, han: Literal["characters", "words"] = "characters",
    ) -> None:
        rule = WordRule(lowercase=lowercase, strip_accents=strip_accents, fold_digits=fold_digits, han=han)
        counts = dict(words) if isinstance(words, Mapping) else None
        self._set_up(_cutting_by(rule), rule, counts)
        self._fill(words)

    def _fill(self, words: Iterable[str]) -> None:
        """Give the tokenizer its vocabulary."""
        vocabulary = {word: i for i, word in enumerate((*SPECIAL_TOKENS, *words))}
        self._tokenizer.model = models.WordLevel(vocabulary, unk_token=UNK)

    def _set_up(self, tokenizer: Tokenizer, rule: WordRule, counts: dict[str, int] | None) -> None:
        self._tokenizer, self._rule, self.counts = tokenizer, rule, counts
        self._remembered: Mapping[str | tuple[str, ...], NDArray[np.int32]] = {}
        self._normalizer, self._pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        self._cut_han = chinese_segmenter() if rule.han == "words" else None
        # A file from before this rule brings one of its own, which PLAIN need not agree with.
        self._is_ours = word_pattern(rule.han) in _pattern(tokenizer)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def lowercase(self) -> bool:
        """Whether case is folded."""
        return self._rule.lowercase

    def words(self, text: Text) -> list[str]:
        """Cut a text into words, known or not."""
        if not isinstance(text, str):
            return [self.fold(word) for word in text]
        return [word for piece in self._pieces(text)
                for word in (PLAIN.findall(piece) if isinstance(piece, str) else piece)]

    def _pieces(self, text: str) -> Iterator[str | list[str]]:
        """The text's parts: ASCII, folded but not cut yet, and the words of what is cut by the library's rule."""
        if not self._is_ours:
            yield self._cut(text)
            return
        if text.isascii():
            yield self._rule.fold_plain(text)
            return
        end = 0
        while foreign := FOREIGN.search(text, end):  # from space to space, which no word holds, so that nothing is torn
            start = text.rfind(" ", end, foreign.start()) + 1 or end
            yield self._rule.fold_plain(text[end:start])
            end = text.find(" ", foreign.end())
            if end < 0:
                yield self._cut(text[start:])
                return
            yield self._cut(text[start:end])
        yield self._rule.fold_plain(text[end:])

    def intern(self, texts: Sequence[Text], numbers: TokenInterner) -> list[NDArray[np.int32]]:
        """Cut texts, as :meth:`words` does, and number their words; words that have no number get one.

        Returns:
            For each text its ids, int32. *Shape:* ``(n_words,)``.
        """
        cut = [list(self._pieces(text)) if isinstance(text, str) else [[*map(self.fold, text)]] for text in texts]
        plain = iter(numbers.tokenize([piece for pieces in cut for piece in pieces if isinstance(piece, str)]))
        foreign = [piece for pieces in cut for piece in pieces if not isinstance(piece, str)]
        numbered = numbers.intern([word for piece in foreign for word in piece])
        others = iter(np.split(numbered, np.cumsum([len(piece) for piece in foreign])))
        ids = [[next(plain if isinstance(piece, str) else others) for piece in pieces] for pieces in cut]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in ids]

    def _cut(self, text: str) -> list[str]:
        """Cut a text of any characters by the library's rule."""
        words = [word for word, _ in self._pre_tokenizer.pre_tokenize_str(self._folded(text))]
        if self._cut_han is None:
            return words
        return [part for word in words for part in self._parts(word)]

    def spans(self, text: str) -> list[Span]:
        """Cut a text into words, each with its place in the text as it was given.

        A place is in characters (code points); ``fold(text[start:end])`` is the word, whatever folding and composition
        (NFC) did to it.
        """
        if self._is_ours and text.isascii():
            return [Span(match[0], *match.span()) for match in PLAIN.finditer(self._rule.fold_plain(text))]
        cut = PreTokenizedString(_sound(text))
        cut.normalize(self._normalizer.normalize)
        self._pre_tokenizer.pre_tokenize(cut)
        if self._cut_han is not None:
            cut.split(self._split_han)
        found = [(word, place) for word, place, _ in cut.get_splits("original", "char")]
        following = [start for _, (start, _) in found[1:]] + [len(text)]
        return [Span(word, start, _end(text, end, limit))
                for (word, (start, end)), limit in zip(found, following, strict=False)]

    def count(self, texts: Iterable[Text]) -> Counter[str]:
        """How often each word stands in the texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self.words(text))
        return counts

    def fold(self, word: str) -> str:
        """The word as the vocabulary has it: in lower case, if case is folded; likewise accents and digits."""
        return self._rule.fold_plain(word) if self._is_ours and word.isascii() else self._folded(word)

    def can_produce(self, word: str) -> bool:
        """Whether some text yields exactly this word (none yields ``new-york`` or, where case is folded, ``Paris``)."""
        if word.isascii() and word.isalpha() and word.islower():
            return True  # plain letters are never cut: the common case, ten times quicker
        return self.words(word) == [word]

    def encode(self, texts: Sequence[Text], *, max_length: int | None = None) -> list[NDArray[np.int32]]:
        """Number the words of each text.

        Args:
            texts: all strings, or all cut already.
            max_length: keep this many words from the start of each.

        Returns:
            For each text its ids, int32. *Shape:* ``(n_words,)``.
        """
        if all(isinstance(text, str) for text in texts) and self._cut_han is None and not self._remembered:
            running = [_sound(text) for text in texts if isinstance(text, str)]
            encodings = self._tokenizer.encode_batch_fast(running, add_special_tokens=False)
            return [np.array(encoding.ids[:max_length], dtype=np.int32) for encoding in encodings]
        found = [self._remembered.get(_key(text)) for text in texts]
        number = self._tokenizer.get_vocab() if any(ids is None for ids in found) else {}
        return [
            np.array([number.get(word, UNK_ID) for word in self.words(text)[:max_length]], dtype=np.int32)
            if ids is None else ids[:max_length] for text, ids in zip(texts, found, strict=True)
        ]

    def cache_encodings(self, numbered: Mapping[str | tuple[str, ...], NDArray[np.int32]]) -> None:
        """Take over how texts were cut and numbered, for :meth:`encode` to find. *Shape:* ``(n_words,)`` each."""
        self._remembered = numbered

    def vocabulary(self) -> tuple[str, ...]:
        """Every word in the order of its id, the special words first."""
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> tuple[str, ...]:
        ids: dict[str, int] = self._tokenizer.get_vocab()
        return tuple(sorted(ids, key=ids.__getitem__))

    def with_vocabulary(self, words: Iterable[str]) -> WordTokenizer:
        """Cut text as this tokenizer does, with another vocabulary (a mapping brings its counts along)."""
        made = WordTokenizer(words, **asdict(self._rule))
        if not self._is_ours:
            made._tokenizer.normalizer, made._tokenizer.pre_tokenizer = self._normalizer, self._pre_tokenizer
            made._set_up(made._tokenizer, self._rule, made.counts)
        return made

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``, in the format of the ``tokenizers`` library, which reads it too.

        The options and the counts stand in its ``model`` under ``vecformer``.
        """
        path.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """What :meth:`save` writes."""
        described = json.loads(self._tokenizer.to_str(pretty=False))
        counts = None if self.counts is None else list(self.counts.values())
        described["model"][OURS] = {**asdict(self._rule), "counts": counts}
        return json.dumps(described, ensure_ascii=False)

    @classmethod
    def load(cls, path: Path) -> WordTokenizer:
        """Read what :meth:`save` wrote, in this version or in an earlier one.

        Raises:
            EmbeddingError: if the file is missing or is not a tokenizer of words.
        """
        try:
            text = path.read_text(encoding="utf-8")
            tokenizer = Tokenizer.from_str(text)
            if tuple(map(tokenizer.token_to_id, SPECIAL_TOKENS)) != tuple(range(len(SPECIAL_TOKENS))):
                raise ValueError(f"its first words must be {' '.join(SPECIAL_TOKENS)}")
            stored = json.loads(text)["model"].get(OURS)
            counts = stored.pop("counts") if stored else None
            rule = TypeAdapter(WordRule).validate_python(
                stored or {"lowercase": tokenizer.normalizer.normalize_str("A") == "a"}
            )
            loaded = cls.__new__(cls)
            loaded._set_up(tokenizer, rule, None)
            if counts is not None:
                loaded.counts = dict(zip(loaded.vocabulary()[len(SPECIAL_TOKENS):], map(int, counts), strict=True))
            return loaded
        except EmbeddingError:
            raise
        except Exception as error:  # the library raises bare Exception
            raise EmbeddingError(f"{path}: not a tokenizer.json of words ({error})") from error

    def _folded(self, text: str) -> str:
        folded: str = self._normalizer.normalize_str(_sound(text))
        return folded

    def _parts(self, word: str) -> list[str]:
        return self._cut_han(word) if self._cut_han and len(word) > 1 and HAN.match(word) else [word]

    def _split_han(self, _number: int, piece: Any) -> list[Any]:
        """Cut one piece (a ``NormalizedString``, which remembers its place) as :meth:`_parts` cuts a word."""
        pieces, start = [], 0
        for part in self._parts(piece.normalized):
            pieces.append(piece[start : start + len(part)])
            start += len(part)
        return pieces


def _key(text: Text) -> str | tuple[str, ...]:
    return text if isinstance(text, str) else tuple(text)


def _sound(text: str) -> str:
    """Put a question mark in place of each half of a surrogate pair, which no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()
    return text


def _end(text: str, end: int, limit: int) -> int:
    """Where a word really ends: the library forgets the accents at its end that went into a composed character."""
    match = BELONGING.match(text, end, limit)
    return match.end() if match else end


def _cutting_by(rule: WordRule) -> Tokenizer:
    """A tokenizer without words."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=UNK))
    tokenizer.normalizer, tokenizer.pre_tokenizer = rule.normalizer(), rule.pre_tokenizer()
    return tokenizer


def _pattern(tokenizer: Tokenizer) -> list[str]:
    described = json.loads(tokenizer.to_str())["pre_tokenizer"]
    return [described["pattern"].get("Regex")] if described and described["type"] == "Split" else []
