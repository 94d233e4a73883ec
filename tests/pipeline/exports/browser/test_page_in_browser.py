"""The exported page in a real browser, opened from disk without a network, is equal to Python."""

import dataclasses
import re
import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embeddings.tokenization.ngrams import NgramHasher
from embeddings.tokenization.tokenizer import WordTokenizer
from embeddings.tokenization.word_pattern import WordRule
from pipeline import RunConfig, load_run, run
from pipeline.commands.export import export
from pipeline.exports.base import ExportOptions
from pipeline.exports.browser.agreement import page_predictions
from pipeline.exports.browser.quantized import gaps
from pipeline.exports.page import Page
from tests.pipeline.exports.browser.small_runs import SUPPORT, random_classifier

pytestmark = pytest.mark.browser
HOSTILE = ["</script><script>document.title='no'</script>", "<b>bold</b> & <!-- not a comment", "日本\u2028\u202e",
           "plain"]
TEXTS = [
    "My parcel never arrived; it's late!", "", "   ", "zebra", "ΟΔΟΣ ΣΑΣ Σ", "don't can't I'll O’Neill",
    "1,000.50 2024", "İstanbul Straße ǅ", "नमस्ते दुनिया", "ภาษาไทยไม่มีช่องว่าง", "日本語のテキスト。漢字",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 🇩🇪 👍🏽 1\ufe0f\u20e3", "e\u0301te\u0301 Ｆull", "\ud800 lone \udc00",
    "a\u00adb \ufeffc \u200bd", "\x1c", "\ufeff", "</script> & <b>", "word " * 40,
    "မြန်မာ ស្វាគមន៍", "한국어 \u1112\u1161\u11ab",
]
ODD = ("aAbzİıßΣσςéÉжЖאبक्षनिไทยမ္ကខ្ម日本のカー한🙂👍🏽🇩🇪👩\u200d❤️#1\ufe0f\u20e3٣९𝟙ⅷ_-'’.,!?\u0301\u0308\u0345\u200c"
       "\u00ad\u202e\u2028\t\n \u0085\x1c")
SCRIPTS = st.characters() | st.sampled_from(ODD)
RULES = [WordRule(), WordRule(lowercase=False), WordRule(strip_accents=True), WordRule(fold_digits=True)]
ARCHITECTURES = {
    "pre, sinusoidal, convolutions": {"convolutions": [3, 5]},
    "post, learned, cls": {"norm": "post", "positions": "learned", "pooling": "cls", "embedding_norm": True,
                           "activation": "relu", "norm_eps": 1e-12},
    "bert": {"like": "bert", "norm": "post", "embedding_norm": True, "norm_eps": 1e-12, "pooling": "cls"},
    "rotary, swiglu": {"positions": "rotary", "activation": "swiglu", "n_layers": 3},
    "alibi": {"positions": "alibi", "activation": "gelu-tanh", "d_model": 18, "n_heads": 3},
    "none, wide table": {"positions": "none", "norm": "post", "d_model": 8},
}


def written(trained, path, name="model"):
    """The page of a run."""
    return Page().write(trained, path, ExportOptions(), lambda what, share: None, origin=name)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The page of a classifier with an n-gram branch and convolutions."""
    folder = tmp_path_factory.mktemp("plain")
    trained = random_classifier(folder, ngrams=True, model={"convolutions": [3]})
    return trained, written(trained, folder / "model.html")


@pytest.fixture(scope="module")
def functions(chromium, plain):
    """The functions of a page, for calls with values."""
    page = chromium.new_page()
    page.goto(plain[1].path.as_uri())
    page.wait_for_selector("#classify:enabled")
    yield page
    page.close()


def predicted(page, texts):
    """The labels and probabilities of texts by the functions of a page."""
    return page.evaluate("texts => texts.map(text => { const { label, scores, warning } = predict(model, text);"
                         " return [label, [...scores].map(Math.exp), warning]; })", texts)


def words_of(page, texts, rule):
    """The words of texts by the tokenizer of a page."""
    return page.evaluate("([texts, rule]) => texts.map(text => tokenized(text, rule).map(({ word }) => word))",
                         [texts, dataclasses.asdict(rule)])


@pytest.mark.parametrize(("architecture", "ngrams"), [
    *((name, False) for name in ARCHITECTURES), ("pre, sinusoidal, convolutions", True), ("rotary, swiglu", True)])
def test_probabilities_are_those_of_pytorch(architecture, ngrams, tmp_path, opened):
    trained = random_classifier(tmp_path, model=ARCHITECTURES[architecture], ngrams=ngrams)
    made = written(trained, tmp_path / "model.html")
    examples = trained.task.reader.read(trained.config.data, seed=1).test + tuple(map(trained.example, TEXTS))
    expected = page_predictions(trained, made.data, examples)
    found = predicted(opened(made.path), [one.text for one in examples])
    for one, of_python, (label, probabilities, _) in zip(examples, expected, found, strict=True):
        assert probabilities == pytest.approx(list(of_python["probabilities"].values()), abs=2e-5), one.text
        assert label == of_python["label"]


def test_warnings_are_those_of_the_run(plain, functions):
    expected = [prediction.get("warning", "") for prediction in plain[0].predict(TEXTS)]
    assert [warning for _, _, warning in predicted(functions, TEXTS)] == expected


@pytest.mark.parametrize("rule", RULES, ids=str)
@settings(max_examples=60)
@given(texts=st.lists(st.text(SCRIPTS, max_size=30), min_size=1, max_size=20))
def test_words_are_those_of_the_tokenizer(rule, texts, functions):
    texts = [*TEXTS, *texts]
    assert words_of(functions, texts, rule) == [*map(WordTokenizer(**dataclasses.asdict(rule)).words, texts)]


@settings(max_examples=20)
@given(start=st.integers(0, 0x10FFFF // 512))
@example(start=0x1AC0 // 512)   # accents that only browsers order, in October 2026
@example(start=0x10D50 // 512)  # capital letters that only browsers have
def test_every_character_is_split_and_folded_alike(start, functions):
    """Also those that the browser's Unicode version has and the library's has not, or the other way round."""
    texts = [f"a{chr(code)}b {chr(code)}\u0301 E\u0345{chr(code)}" for code in range(512 * start, 512 * start + 512)
             if not 0xD800 <= code < 0xE000]
    for rule in RULES[:3]:
        assert words_of(functions, texts, rule) == [*map(WordTokenizer(**dataclasses.asdict(rule)).words, texts)]


@settings(max_examples=60)
@given(text=st.text(SCRIPTS, max_size=60))
@example(text="e\u0301te\u0301 a\u0328\u0301b \u00ada\u00ad-b\u00ad \ufeffX\ufeff")
@example(text="İİx \u1112\u1161\u11ab👍\u0301 ΐ́")
def test_positions_are_in_the_text(text, functions):
    """The words in order, without overlap, and each made of the characters at its position."""
    found = functions.evaluate("text => tokenized(text, model.rule)", text)
    tokenizer, end = WordTokenizer(), 0
    encoded = text.encode("utf-16-le", "surrogatepass")
    for one in found:
        assert end <= one["start"] < one["end"]
        end = one["end"]
        part = encoded[2 * one["start"]:2 * end].decode("utf-16-le", "replace")
        assert unicodedata.normalize("NFC", tokenizer.fold(part)) == one["word"]


@example(text="ΟΔΟΣ ΣΑΣ Σ ΑΣ'Σ \u0345Σ AΣ\u0301b AΣ.", words=2, shortest=2, more=3)
@example(text="\U00010d50A \ua7cb \x1cx\x1f y", words=2, shortest=1, more=2)
@settings(max_examples=80)
@given(text=st.text(SCRIPTS, max_size=80), words=st.integers(1, 3), shortest=st.integers(1, 4), more=st.integers(0, 3))
def test_ngrams_are_those_of_scikit_learn(text, words, shortest, more, functions):
    hasher = NgramHasher(words, (shortest, shortest + more), 2**12)
    row = hasher.counts([text])
    found = functions.evaluate(
        "([text, words, characters]) => { const lowered = pythonLower(encodable(text)); return "
        "[...wordNgrams(lowered, words, 2048), ...characterNgrams(lowered, characters, 2048)]; }",
        [text, words, [shortest, shortest + more]])
    assert dict(found) == dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))


def test_the_smallest_hash_has_the_bucket_of_scikit_learn(functions):
    """Its absolute value is not a 32-bit number."""
    assert functions.evaluate("bucketOf(-2147483648, 1024)") == (2147483647 - 1023) % 1024


@settings(max_examples=50)
@given(numbers=st.sets(st.integers(0, 2**24 - 1), max_size=50))
def test_numbers_are_decoded(numbers, functions):
    encoded = gaps(np.array(sorted(numbers), dtype=np.int64))
    assert functions.evaluate("decodedNumbers", encoded.tolist()) == sorted(numbers)


def test_functions_of_mathematics(functions):
    values = np.linspace(-6, 6, 401)
    for name, expected in {
        "gelu": torch.nn.functional.gelu(torch.tensor(values)), "relu": torch.tensor(values).relu(),
        "gelu-tanh": torch.nn.functional.gelu(torch.tensor(values), approximate="tanh"),
        "swiglu": torch.nn.functional.silu(torch.tensor(values)),
    }.items():
        found = functions.evaluate("([name, values]) => values.map(ACTIVATIONS[name])", [name, values.tolist()])
        assert found == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A run of the default recipe on the sample, and its page."""
    folder = tmp_path_factory.mktemp("recipe")
    run(RunConfig.from_mapping({"data": {"path": str(SUPPORT)}, "source": "word2vec,epochs=1", "baselines": "none",
                                "training": {"epochs": 3}, "model": {"d_model": 32, "n_heads": 2, "d_ff": 32}}),
        folder / "run")
    return load_run(folder / "run"), export(folder / "run", folder / "model.html", to="page")


def test_labels_of_a_run_of_the_recipe(recipe, opened):
    trained, made = recipe
    splits = trained.task.reader.read(trained.config.data, seed=1)
    texts = [one.text for one in (*splits.test, *splits.train)][:200]
    found = predicted(opened(made.path), texts)
    equal = sum(label == of_run["label"] for (label, _, _), of_run in zip(found, trained.predict(texts), strict=True))
    assert equal >= len(texts) - 1  # of two labels with nearly equal scores
    assert made.size < 1e6


def test_a_text_is_classified_and_coloured(plain, opened):
    page = opened(plain[1].path)
    page.fill("#text", "My parcel never arrived.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#progress:empty", state="attached")
    expected = plain[0].predict(["My parcel never arrived."])[0]
    assert page.inner_text("#status").startswith(expected["label"])
    assert [part.strip() for part in page.locator("#colours span").all_inner_texts()] == [
        "My", "parcel", "never", "arrived", "."]
    assert page.inner_text("#colours") == "My parcel never arrived."


def test_words_without_a_vector_are_named(plain, opened):
    page = opened(plain[1].path)
    page.fill("#text", "My Zebra met a Qwertzuiop, a <qwertzuiop> and ☃.")
    page.click("#classify")
    assert page.inner_text("#unknown") == "Words without a vector: met, Qwertzuiop, <, qwertzuiop, >, ☃."
    page.fill("#text", "My parcel")
    page.click("#classify")
    assert page.inner_text("#unknown") == ""


def test_contributions_are_differences_of_log_odds(plain, opened):
    trained, made = plain
    page = opened(made.path)
    page.fill("#text", "My parcel never arrived.")
    page.click("#classify")
    page.wait_for_selector("#progress:empty", state="attached")
    texts = ["My parcel never arrived.", "  parcel never arrived.", "My   never arrived."]
    rows = [prediction["probabilities"] for prediction in page_predictions(
        trained, made.data, [trained.example(text) for text in texts])]
    for label in rows[0]:
        page.locator("#labels button", has_text=label).click()
        whole, *without = (np.log(row[label] / (1 - row[label])) for row in rows)
        found = page.evaluate("shown.groups.map(group => group.value)")
        assert found[:2] == pytest.approx([whole - one for one in without], abs=1e-3)
        assert page.inner_text("#chosen") == label


def test_a_long_text_has_few_groups_and_a_new_request_stops_the_old_one(plain, opened):
    page = opened(plain[1].path)
    page.fill("#text", "card refund " * 500)
    page.click("#classify")
    assert page.locator("#colours span").count() <= 60
    assert "the first 30 words" in page.inner_text("#warning")
    page.fill("#text", "parcel")
    page.click("#classify")
    page.wait_for_selector("#progress:empty", state="attached")
    assert page.inner_text("#colours") == "parcel"
    page.click("#clear")
    assert not page.is_visible("#answer")


def test_labels_texts_and_names_are_never_markup(tmp_path, opened):
    data = tmp_path / "data.tsv"
    lines = [f"{label}\t{word} {word} word{i % 7}" for i in range(60) for label, word in zip(
        HOSTILE, ["alpha", "beta", "gamma", "delta"], strict=True)]
    data.write_text("label\ttext\n" + "\n".join(lines), encoding="utf-8")
    trained = random_classifier(tmp_path, data=data, ngrams=True)
    made = written(trained, tmp_path / "model.html", name="runs/<img src=x onerror=alert(1)>")
    page = opened(made.path)
    assert page.title() == "<img src=x onerror=alert(1)> · text classifier"
    page.fill("#text", "<img src=x onerror=alert(1)> </textarea><script>alert(1)</script>")
    page.click("#classify")
    page.wait_for_selector("#progress:empty", state="attached")
    names = page.locator("#labels .name").all_inner_texts()
    assert sorted(map(_visible, names)) == sorted(map(_visible, trained.setup.resolved.labels))
    assert page.locator("main img, main script, main b:not(#status b)").count() == 0
    assert page.title().startswith("<img")


def _visible(text):
    return re.sub(r"\s+", " ", text).strip()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1000])
def test_no_violation_of_accessibility_and_no_overflow(plain, opened, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(plain[1].path, color_scheme=scheme, viewport={"width": width, "height": 700}, bypass_csp=True)
    for text in ("", "My parcel never arrived, and " + "extraordinarilylongwords" * 8):
        page.fill("#text", text)
        page.click("#classify")
        page.wait_for_selector("#answer:not([hidden])")
        page.wait_for_selector("#progress", state="attached")
        page.click("summary")
        found = Axe().run(page)
        assert [one["id"] for one in found.response["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_is_enough(plain, opened):
    page = opened(plain[1].path)
    page.keyboard.press("Tab")
    page.keyboard.type("My parcel never arrived.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#progress:empty", state="attached")
    names = page.locator("#labels .name").all_inner_texts()
    for _ in range(3):  # the button Clear, and two labels
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#chosen") == names[1]
    assert page.evaluate("document.activeElement.querySelector('.name').textContent") == names[1]


def test_the_first_answer_takes_less_than_a_second(plain, opened):
    page = opened(plain[1].path)
    seconds = page.evaluate("() => { const start = performance.now(); predict(model, 'word '.repeat(200)); "
                            "return (performance.now() - start) / 1000; }")
    assert seconds < 1


def test_nothing_may_be_requested(plain, opened):
    page = opened(plain[1].path)
    policy = page.get_attribute("meta[http-equiv='Content-Security-Policy']", "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    content = plain[1].path.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href|url\(|import)\s*[=(]?\s*[\"']?(?:https?:)?//", content)


@pytest.mark.slow
def test_the_model_of_the_demonstration(tmp_path, opened):
    """At most 8 MB, the labels of `predict` for 200 articles, and the first answer in less than a second."""
    run(RunConfig.from_mapping({"seed": 1, "baselines": "none", "data": {"path": "bbc", "limit_train": 50}}),
        tmp_path / "run")
    made = export(tmp_path / "run", tmp_path / "model.html", to="page")
    assert made.size <= 8_000_000
    trained = load_run(tmp_path / "run")
    texts = [one.text for one in trained.task.reader.read(trained.config.data, seed=1).test][:200]
    page = opened(made.path)
    page.fill("#text", texts[0])
    seconds = page.evaluate("() => { const start = performance.now(); document.getElementById('classify').click(); "
                            "return (performance.now() - start) / 1000; }")
    assert page.is_visible("#answer")
    assert seconds < 1
    page.click("#clear")
    assert [label for label, _, _ in predicted(page, texts)] == [one["label"] for one in trained.predict(texts)]
