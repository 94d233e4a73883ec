"""Text to words to ids: the one tokenizer that both stages share, saved with a run as ``tokenizer.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from embeddings.errors import EmbeddingError

PAD, UNK = "<pad>", "<unk>"
PAD_ID, UNK_ID = 0, 1
SPECIAL_WORDS = (PAD, UNK)

# In order: a character of a script written without spaces; a number; a word, with the English endings that vector
# files list by themselves ("do n't", "company 's"); any other visible character.
WORD = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}]"
    r"|\d+(?:[.,]\d+)*"
    r"|\w+?(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b"
    r"|\w+"
    r"|[^\w\s]"
)


def _build(words: Sequence[str], *, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNK))
    steps = [normalizers.NFC(), normalizers.Replace("’", "'")]
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Lowercase()] * lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True)
    return tokenizer


class WordTokenizer:
    """Cuts text into words and punctuation, in any script, and numbers those it knows.

    The ids 0 and 1 are padding and the unknown word; text can never produce their names ``<pad>`` and ``<unk>``,
    because the brackets are cut off as punctuation.

    Args:
        words: the vocabulary in the order of its ids, without the two special words.
        lowercase: fold case.
    """

    def __init__(self, words: Iterable[str] = (), *, lowercase: bool = True) -> None:
        self._tokenizer = _build([*SPECIAL_WORDS, *words], lowercase=lowercase)
        self.lowercase = lowercase

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def words(self, text: str) -> list[str]:
        """Cut a text into words, known or not."""
        folded = self._tokenizer.normalizer.normalize_str(text)
        return [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(folded)]

    def count(self, texts: Iterable[str]) -> Counter[str]:
        """How often each word stands in the texts."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(self.words(text))
        return counts

    def fold(self, word: str) -> str:
        """The word as the vocabulary has it: in lower case, if case is folded."""
        return word.lower() if self.lowercase else word

    def can_produce(self, word: str) -> bool:
        """Whether some text yields exactly this word (none yields ``new-york`` or, where case is folded, ``Paris``)."""
        if word.isascii() and word.isalpha() and word.islower():
            return True  # plain letters are never cut: the common case, ten times quicker
        return self.words(word) == [word]

    def encode(self, texts: Sequence[str], *, max_length: int | None = None) -> list[NDArray[np.int32]]:
        """Number the words of each text.

        Args:
            texts: any strings.
            max_length: keep this many words from the start of each.

        Returns:
            For each text its ids, int32. *Shape:* ``(n_words,)``.
        """
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids[:max_length], dtype=np.int32) for encoding in encodings]

    def vocabulary(self) -> tuple[str, ...]:
        """Every word in the order of its id, the two special words first."""
        ids: dict[str, int] = self._tokenizer.get_vocab()
        return tuple(sorted(ids, key=ids.__getitem__))

    def with_vocabulary(self, words: Iterable[str]) -> WordTokenizer:
        """Cut text as this tokenizer does, with another vocabulary."""
        return WordTokenizer(words, lowercase=self.lowercase)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``, in the format of the ``tokenizers`` library."""
        path.write_text(self._tokenizer.to_str(pretty=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> WordTokenizer:
        """Read what :meth:`save` wrote.

        Raises:
            EmbeddingError: if the file is missing or is not a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception
            raise EmbeddingError(f"{path}: not a tokenizer.json ({error})") from error
        loaded = cls.__new__(cls)
        loaded._tokenizer = tokenizer
        loaded.lowercase = tokenizer.normalizer.normalize_str("A") == "a"
        return loaded
