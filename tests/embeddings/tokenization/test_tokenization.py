import json
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from embeddings import WordTokenizer
from embeddings.errors import EmbeddingError
from embeddings.special_tokens import SPECIAL_TOKENS, UNK_ID
from embeddings.tokenization.chinese import chinese_segmenter
from embeddings.tokenization.vocabulary import build_vocabulary

REMOVED = "\xad\u061c\u200e\u200f\u202a\u202c\u2060\u2066\u2069\ufeff"
AWKWARD = (
    "aAeEiIzZ09 .,'’-n\n\t" "ßſİıΣσςéÉёЙǰ" "\u0300\u0301\u0307\u0308\u030c\u0315\u0338\u0345" "\u1100\u1161\u11a8각"
    "漢字かカー々" "مك\u064b\u064eشלם" "कक्ष\u093f\u094d" "ไน้ำเะ" "ក្មខ" "န္တမ်" "\u200b\u200c\u200d" + REMOVED
    + "👍👩🚀❤🏽🏴🇬🇧\ufe0f\u20e3\U000e0067\U000e007f" "²½ⅣⓂ©\x00\x1c\x85\ud800"
)
awkward = st.text(st.sampled_from(AWKWARD) | st.characters(), max_size=30)
rules = st.builds(
    dict, lowercase=st.booleans(), strip_accents=st.booleans(), fold_digits=st.booleans(),
    han=st.sampled_from(["characters", "words"]),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's hat.", ["the", "cat", "'s", "hat", "."]),
        ("I don’t think they’ll go", ["i", "do", "n't", "think", "they", "'ll", "go"]),
        ("£27.5bn, up 1,000", ["£", "27.5", "bn", ",", "up", "1,000"]),
        ("東京へ行く", list("東京へ行く")),
        ("abc東京コーヒー2024年", ["abc", *"東京コーヒー", "2024", "年"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("می‌خواهم کتاب‌ها", ["می‌خواهم", "کتاب‌ها"]),
        ("\u200fשלום\u200f, \u2067עולם\u2069", ["שלום", ",", "עולם"]),
        ("नमस्ते दुनिया क्‍ष", ["नमस्ते", "दुनिया", "क्‍ष"]),
        ("น้ำเป็น", ["น้ำ", "เป็", "น"]),
        ("ភាសាខ្មែរ", ["ភា", "សា", "ខ្មែ", "រ"]),
        ("မန္တလေး", ["မ", "န္တ", "လေး"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("so good 👍!", ["so", "good", "👍", "!"]),
        ("👨‍👩‍👧🏳️‍🌈🇬🇧🇫🇷👍🏽1️⃣❤️", ["👨‍👩‍👧", "🏳️‍🌈", "🇬🇧", "🇫🇷", "👍🏽", "1️⃣", "❤️"]),
        ("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f!",
         ["🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "!"]),
        ("cafe\u0301 J\u030c", ["café", "ǰ"]),
        ("co\xadoperate zero\u200bwidth", ["cooperate", "zero", "width"]),
        ("5 km² CO₂", ["5", "km²", "co₂"]),
        ("half \ud83d", ["half", "?"]),
        (" \n\t", []),
    ],
)
def test_words_of_a_text(text, words):
    assert WordTokenizer().words(text) == words


def test_case_is_kept_on_request():
    assert WordTokenizer(lowercase=False).words("The Cat") == ["The", "Cat"]


def test_accents_and_digits_are_folded_on_request():
    tokenizer = WordTokenizer(strip_accents=True, fold_digits=True)
    assert tokenizer.words("Ёлка naïve Ãé 27.5 ٣") == ["елка", "naive", "ae", "00.0", "0"]
    assert tokenizer.words("หนี้ हिन्दी が بَ 각") == [*WordTokenizer().words("หนี้ हिन्दी が بَ 각")]
    assert tokenizer.words("in 1987, 3.5%") == ["in", "0000", ",", "0.0", "%"]


def test_chinese_word_segmentation():
    tokenizer = WordTokenizer(han="words")
    assert tokenizer.words("我来到北京清华大学, OK東京へ") == [
        "我", "来到", "北京", "清华大学", ",", "ok", "東京", "へ"]
    assert tokenizer.spans("去 北京大学")[-1] == ("北京大学", 2, 6)
    numbered = tokenizer.with_vocabulary(["北京", "清华大学"])
    assert numbered.encode(["北京清华大学东"])[0].tolist() == [5, 6, 1]


def test_chinese_word_segmentation_needs_jieba(monkeypatch):
    chinese_segmenter.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(EmbeddingError, match=r"pip install 'vecformer\[zh\]'"):
        WordTokenizer(han="words")


def test_jieba_prints_nothing_and_leaves_no_file(tmp_path):
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", "from embeddings import WordTokenizer; WordTokenizer(han='words').words('北京大学')"],
        env={"TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )
    assert done.stdout + done.stderr == ""
    assert not list(tmp_path.iterdir())


@given(awkward, rules)
def test_no_visible_character_is_lost(text, options):
    tokenizer = WordTokenizer(**options)
    invisible = "\u180e\u200b\u200c\u200d\u2061\u2062\u2063\u2064\u2065" + REMOVED

    def visible(kept):
        return "".join(c for c in kept if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf")
                       and c not in invisible)

    assert visible("".join(tokenizer.words(text))) == visible(tokenizer.fold(text))


@given(awkward, rules)
def test_words_contain_no_white_space(text, options):
    for word in WordTokenizer(**options).words(text):
        assert word.split() == [word]


@given(awkward, rules)
def test_spans_are_positions_in_the_original_text(text, options):
    tokenizer = WordTokenizer(**options)
    spans = tokenizer.spans(text)
    assert [word for word, _, _ in spans] == tokenizer.words(text)
    at = 0
    for word, start, end in spans:
        assert at <= start <= end <= len(text)
        at = end
        if options["han"] == "characters":
            assert tokenizer.fold(text[start:end]) == word


def test_spans_of_composed_and_folded_text():
    tokenizer = WordTokenizer(strip_accents=True)
    text = "E\u0301te\u0301 co\xadop\u200e İstanbul \u1100\u1161\u11a8! café"
    assert [text[start:end] for _, start, end in tokenizer.spans(text)] == [
        "E\u0301te\u0301", "co\xadop", "İstanbul", "\u1100\u1161\u11a8", "!", "café"]


@given(st.text(st.characters(max_codepoint=127)), st.booleans(), st.booleans())
def test_fast_ascii_path_equals_the_library(text, lowercase, fold_digits):
    tokenizer = WordTokenizer(lowercase=lowercase, fold_digits=fold_digits)
    words = tokenizer.words(text)
    spans = tokenizer.spans(text)
    tokenizer._has_our_pattern = False  # the library tokenizes
    assert words == tokenizer.words(text)
    assert spans == tokenizer.spans(text)


@given(st.lists(awkward, min_size=1, max_size=5), rules)
def test_ids_correspond_to_words(texts, options):
    cutter = WordTokenizer(**options)
    tokenizer = cutter.with_vocabulary(cutter.count(texts))
    vocabulary = tokenizer.vocabulary()
    for text, ids in zip(texts, tokenizer.encode(texts), strict=True):
        assert [vocabulary[i] for i in ids] == cutter.words(text)
        assert ids.dtype == np.int32


def test_unknown_words_and_truncation():
    tokenizer = WordTokenizer(["cat"])
    assert tokenizer.encode(["cat dog cat"])[0].tolist() == [5, 1, 5]
    assert tokenizer.encode(["cat dog cat"], max_length=2)[0].tolist() == [5, 1]


@given(st.text())
def test_special_tokens_cannot_be_produced_by_text(text):
    ids = WordTokenizer(["a"]).encode([f"{text}<pad>{text}"])[0]
    assert 0 not in ids


def test_save_and_load(tmp_path):
    tokenizer = WordTokenizer(["Cat", "Hut"], lowercase=False)
    tokenizer.save(tmp_path / "tokenizer.json")
    read = WordTokenizer.load(tmp_path / "tokenizer.json")
    assert read.vocabulary() == tokenizer.vocabulary() == (*SPECIAL_TOKENS, "Cat", "Hut")
    assert read.lowercase is False
    assert read.counts is None
    assert read.encode(["Cat cat"])[0].tolist() == [5, 1]


@given(st.lists(awkward, max_size=5), rules)
def test_options_and_counts_survive(tmp_path_factory, texts, options):
    path = tmp_path_factory.mktemp("saved") / "tokenizer.json"
    cutter = WordTokenizer(**options)
    counts = cutter.count(texts)
    tokenizer = cutter.with_vocabulary(counts)
    tokenizer.save(path)
    read = WordTokenizer.load(path)
    assert read.counts == counts
    assert list(read.counts) == list(tokenizer.vocabulary()[5:])
    assert [read.words(text) for text in texts] == [tokenizer.words(text) for text in texts]
    library = Tokenizer.from_file(str(path))
    if options["han"] == "characters":
        assert [library.encode(text.replace("\ud800", "?")).ids for text in texts] == [
            ids.tolist() for ids in tokenizer.encode(texts)]


def test_tokenizer_file_of_an_earlier_version_keeps_its_pattern(tmp_path):
    old = Tokenizer(models.WordLevel({word: i for i, word in enumerate((*SPECIAL_TOKENS, "a-b"))}, unk_token="<unk>"))
    old.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    old.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\w-]+"), behavior="removed", invert=True)
    old.save(str(tmp_path / "tokenizer.json"))
    read = WordTokenizer.load(tmp_path / "tokenizer.json")
    for tokenizer in (read, read.with_vocabulary(["a-b"])):
        assert tokenizer.lowercase
        assert tokenizer.words("x A-B") == ["x", "a-b"]
        assert tokenizer.spans("x A-B") == [("x", 0, 1), ("a-b", 2, 5)]
        assert tokenizer.encode(["x A-B"])[0].tolist() == [1, 5]


@pytest.mark.parametrize("wrong", [
    "{}", "", "[1]",
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).to_str(),
    Tokenizer(models.BPE()).to_str(),
])
def test_error_names_a_broken_file(tmp_path, wrong):
    (tmp_path / "tokenizer.json").write_text(wrong)
    with pytest.raises(EmbeddingError, match=r"tokenizer\.json: not the tokenizer"):
        WordTokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("change", [
    lambda described: described["model"]["vocab"].update(cat=2**31),
    lambda described: described["model"]["vocab"].update(cat=6),
    lambda described: described["model"]["vocab"].update(cat=4),
    lambda described: described["model"]["vocab"].update(cat=-1),
    lambda described: described["model"]["vocab"].update(cat="5"),
    lambda described: described["model"].update(vocab=[["cat", 5]]),
    lambda described: described.update(normalizer=None),
    lambda described: described.update(pre_tokenizer=None, normalizer=3),
    lambda described: described.update(added_tokens=[{"id": 2**31, "content": "dog", "single_word": False,
                                                      "lstrip": False, "rstrip": False, "normalized": False,
                                                      "special": True}]),
])
def test_ids_and_parts_are_checked_before_memory_is_taken(tmp_path, change):
    import resource

    WordTokenizer({"cat": 3}).save(tmp_path / "tokenizer.json")
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    change(described)
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(EmbeddingError, match=r"tokenizer\.json: not the tokenizer"):
        WordTokenizer.load(tmp_path / "tokenizer.json")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_padding_and_truncation_in_a_file_are_ignored(tmp_path):
    WordTokenizer({"cat": 3}).save(tmp_path / "tokenizer.json")
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs.enable_padding(length=100)
    theirs.enable_truncation(1)
    theirs.save(str(tmp_path / "tokenizer.json"))
    assert WordTokenizer.load(tmp_path / "tokenizer.json").encode(["cat cat"])[0].tolist() == [5, 5]


@pytest.mark.parametrize("wrong", [{"counts": [1, 2]}, {"counts": "x"}, {"counts": None, "han": "no"}, {}])
def test_our_additions_to_the_tokenizer_file_are_validated(tmp_path, wrong):
    WordTokenizer({"cat": 3}).save(tmp_path / "tokenizer.json")
    described = json.loads((tmp_path / "tokenizer.json").read_text())
    described["model"]["vecformer"] = {**wrong, "more": 1}
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(EmbeddingError, match="not the tokenizer"):
        WordTokenizer.load(tmp_path / "tokenizer.json")


@given(awkward.map(lambda text: text[:6]), st.booleans())
def test_can_produce_agrees_with_tokenization(word, lowercase):
    tokenizer = WordTokenizer(lowercase=lowercase)
    assert tokenizer.can_produce(word) == (tokenizer.words(word) == [word])


@given(awkward.map(lambda text: text[:6]), rules)
def test_a_folded_word_can_be_produced_if_the_word_that_it_becomes_can(word, options):
    tokenizer = WordTokenizer(**options)
    assert tokenizer.producible([word, "1a", word]) == [tokenizer.can_produce(tokenizer.fold(one))
                                                        for one in (word, "1a", word)]


@given(awkward, rules)
def test_folding_twice_is_folding_once(text, options):
    fold = WordTokenizer(**options).fold
    assert fold(fold(text)) == fold(text)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 5)), st.integers(1, 6), st.none() | st.integers(0, 5))
def test_vocabulary_is_the_most_frequent_words(counts, min_count, max_words):
    kept = build_vocabulary(counts, min_count=min_count, max_words=max_words)
    left_out = {word: count for word, count in counts.items() if word not in kept}
    assert kept.items() <= counts.items()
    assert list(kept.values()) == sorted(kept.values(), reverse=True)
    assert all(count >= min_count for count in kept.values())
    assert len(kept) == min(sum(count >= min_count for count in counts.values()),
                            len(counts) if max_words is None else max_words)
    assert max(left_out.values(), default=0) <= max(min_count - 1, min(kept.values(), default=0)) or not kept


def test_split_words_are_folded_but_not_split():
    tokenizer = WordTokenizer(["u.s.", "new-york"])
    assert tokenizer.words(["U.S.", "New-York"]) == ["u.s.", "new-york"]
    assert tokenizer.count([["U.S.", "a b"]]) == {"u.s.": 1, "a b": 1}
    assert tokenizer.encode([["U.S.", "u", "New-York"]], max_length=2)[0].tolist() == [5, 1]


@given(st.lists(awkward, min_size=1, max_size=5), rules, st.sampled_from([None, 0, 2]))
def test_texts_are_encoded_alike_in_every_way(texts, options, max_length):
    tokenizer = WordTokenizer(["a", "cat", "1", "é", "n't", "'"], **options)
    expected = [[tokenizer.vocabulary().index(word) if word in tokenizer.vocabulary() else UNK_ID
                 for word in tokenizer.words(text)][:max_length] for text in texts]
    assert [ids.tolist() for ids in tokenizer._encode_by_interning(texts, max_length)] == expected
    if options["han"] == "characters":
        assert [ids.tolist() for ids in tokenizer._encode_by_library(texts, max_length)] == expected


@given(st.lists(awkward | st.lists(awkward, max_size=3), max_size=5), rules, st.integers(1, 3))
def test_counts_are_those_of_the_words(texts, options, n_at_once):
    tokenizer = WordTokenizer(**options)
    expected = Counter(word for text in texts for word in tokenizer.words(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embeddings.tokenization.tokenizer.BATCH", n_at_once)
        assert tokenizer.count(iter(texts)) == expected


def test_stored_pieces_are_forgotten_when_there_are_many(monkeypatch):
    monkeypatch.setattr("embeddings.tokenization.tokenizer.MAX_STORED", 2)
    tokenizer = WordTokenizer()
    for text in ("é", "ü", "à", "é ü", "é"):
        assert tokenizer.words(text) == text.split()
        assert len(tokenizer._splits) <= 2
