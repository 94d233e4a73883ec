"""The likely reason why word vectors cover few tokens of a text, and what to do about it.

Measured with GloVe (6B, 50 dimensions): the vectors cover 89% to 100% of the tokens of ten English data sets (the
lowest are tweets), and 49% to 82% of those of German, Yoruba and Swahili ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from embeddings.gensim_training.trainer import TrainingOptions
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.table.arguments import argument, setting
from embeddings.table.oov_policy import MISSING
from embeddings.tokenization.interface import Text
from pipeline.config import RunConfig

MIN_COVERAGE = 0.85
MIN_TOKENS = 50
MIN_SHARE = 0.5           # share of the missing tokens that a reason has to explain
N_TEXTS = 200             # texts in the sample whose language is guessed
MAX_CHARACTERS = 500      # of each of them
MIN_CHARACTERS = 200      # of all of them
MIN_VOTES = 0.8           # share of the sample, in characters, that is in the guessed language
N_WORDS = 3000            # words of the vectors whose language is guessed
MIN_PIECES = 0.1          # share of the words of a vocabulary of subword pieces that begin with a mark
SHOWN = 5

LANGUAGES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian", "bg": "Bulgarian",
    "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German",
    "el": "Greek", "en": "English", "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa",
    "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian",
    "id": "Indonesian", "ig": "Igbo", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jv": "Javanese",
    "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "ko": "Korean", "ku": "Kurdish", "ky": "Kyrgyz",
    "la": "Latin", "lg": "Ganda", "ln": "Lingala", "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mg": "Malagasy",
    "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese",
    "my": "Burmese", "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian", "no": "Norwegian", "om": "Oromo",
    "or": "Odia", "pa": "Punjabi", "pcm": "Nigerian Pidgin", "pl": "Polish", "ps": "Pashto", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "rw": "Kinyarwanda", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian",
    "sn": "Shona", "so": "Somali", "sq": "Albanian", "sr": "Serbian", "st": "Sotho", "sv": "Swedish", "sw": "Swahili",
    "ta": "Tamil", "te": "Telugu", "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tl": "Tagalog", "tr": "Turkish",
    "tt": "Tatar", "ug": "Uyghur", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "xh": "Xhosa",
    "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}

_LETTER = re.compile(r"[^\W\d_]")
_PARTS = re.compile(r"[\W_]+")
_PIECE = re.compile("##|[\u2581\u0120]")


def coverage_advice(
    config: RunConfig, source: EmbeddingTable, found: EmbeddingTable, counts: Mapping[str, int], texts: Sequence[Text]
) -> str:
    """Return a message if the vectors cover few tokens of the training text; "" if they cover enough.

    Args:
        config: the configuration.
        source: the vectors.
        found: the rows of the words of the vocabulary, before missing ones are filled.
        counts: the words of the training text and their counts.
        texts: the training texts.
    """
    missing = {word: counts[word] for word, why in zip(found.words, found.provenance, strict=True) if why == MISSING}
    n_tokens, n_missing = sum(counts[word] for word in found.words), sum(missing.values())
    if n_tokens < MIN_TOKENS or 1 - n_missing / n_tokens >= MIN_COVERAGE or _is_trained_on_the_texts(config):
        return ""
    reason = _reason(config, source, missing, texts)
    frequent = ", ".join(sorted(missing, key=lambda word: (-missing[word], word))[:SHOWN])
    return (f"the vectors of {config.source} cover {1 - n_missing / n_tokens:.0%} of the tokens of the training texts. "
            + (reason or f"Frequent words without a vector: {frequent}. Choose other vectors, or train them on your "
                         f"texts: {argument('source', 'word2vec')} or {argument('source', 'fasttext')}"))


def guess_language(texts: Sequence[Text]) -> str:
    """Return the ISO 639 code of the language of most of a sample of texts; "" if that is not certain.

    Args:
        texts: the texts; the sample consists of the beginnings of :data:`N_TEXTS` of them, at equal distances.
    """
    n_sampled = min(N_TEXTS, len(texts))
    return _language_of(tuple(_beginning(texts[i * len(texts) // n_sampled]) for i in range(n_sampled)))


def _beginning(text: Text) -> str:
    return (text if isinstance(text, str) else " ".join(text))[:MAX_CHARACTERS]


@lru_cache(maxsize=16)  # the runs of a benchmark have the same texts
def _language_of(sample: tuple[str, ...]) -> str:
    sample = tuple(text for text in sample if _LETTER.search(text))
    if sum(map(len, sample)) < MIN_CHARACTERS:
        return ""
    identifier = _identifier()
    votes: dict[str, int] = {}
    for text in sample:
        language = identifier.classify(text)[0]
        votes[language] = votes.get(language, 0) + len(text)
    best = max(sorted(votes), key=votes.__getitem__)
    return best if votes[best] >= MIN_VOTES * sum(votes.values()) else ""


@cache
def _identifier() -> Any:
    """Load the language identifier once in a process, which takes 0.3 seconds."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)


def _is_trained_on_the_texts(config: RunConfig) -> bool:
    source = sources.parse(config.source)
    return isinstance(source, TrainingOptions) and not source.path and not config.corpus


def _reason(config: RunConfig, source: EmbeddingTable, missing: Mapping[str, int], texts: Sequence[Text]) -> str:
    words = list(islice(source.words, N_WORDS))
    has_pieces = sum(bool(_PIECE.match(word)) for word in words) > MIN_PIECES * len(words)
    if has_pieces and config.data.units == "subwords":
        return ""
    if has_pieces:
        piece = next(word for word in words if _PIECE.match(word))
        return (f"The vectors are those of subword pieces, such as {piece}; use vectors of whole words, or "
                f"{argument('source', 'hf:MODEL')}, which composes words from pieces")
    if words and words[0].startswith("\ufeff"):
        return "The vector file begins with a byte-order mark; write it again as UTF-8 without one"
    of_vectors = guess_language(_in_parts(words))
    of_texts = guess_language(texts) if of_vectors else ""
    if of_texts and of_texts != of_vectors:
        theirs, its = (LANGUAGES.get(code, f"language {code!r}") for code in (of_vectors, of_texts))
        return (f"The vectors are probably {theirs}, and the texts {its}. Use vectors of that language "
                f"({argument('source', 'file:FILE')}), or train them on your texts: {argument('source', 'word2vec')} "
                f"or {argument('source', 'fasttext')}")
    known = set(source.words)
    folded = {word.lower() for word in known}
    explained: tuple[tuple[Callable[[str], bool], str], ...] = (
        (lambda word: word.lower() in folded,
         f"Most of the missing words have vectors in another case; add the step case to {argument('unknown')}"),
        (lambda word: without_accents(word) in known,
         f"Most of the missing words have vectors without accents; add {setting('data.strip_accents=true')}"),
        (lambda word: _has_known_parts(word, known),
         "Most of the missing words are several words with vectors, joined by punctuation; separate them in the data"),
    )
    for explains, advice in explained:
        if sum(count for word, count in missing.items() if explains(word)) >= MIN_SHARE * sum(missing.values()):
            return advice
    return ""


def without_accents(word: str) -> str:
    """Return a word without the accents of its letters."""
    return "".join(part for part in unicodedata.normalize("NFD", word) if not unicodedata.combining(part))


def _has_known_parts(word: str, known: set[str]) -> bool:
    parts = [part for part in _PARTS.split(word) if part]
    return len(parts) > 1 and all(part in known or part.lower() in known for part in parts)


def _in_parts(words: Sequence[str]) -> list[str]:
    """Return texts of words, as :func:`guess_language` takes them."""
    words = [word for word in words if _LETTER.search(word)]
    return [" ".join(words[i : i + 50]) for i in range(0, len(words), 50)]
