"""The page in a real headless Chromium: predict, explain, heads, comparison, keyboard, phone, accessibility."""

import json
import re

import pytest

from pipeline import load_run
from tests.pipeline.serving.server_of_runs import serving

pytestmark = pytest.mark.browser
TEXT = "Where is my parcel? It never arrived."
CONTEXT = "Kangaroos are well known animals. They live in Australia 🌏. Their food is grass."


@pytest.fixture(scope="module")
def site(paths):
    """A server of runs of several tasks."""
    named = {"support": paths["support"], "hotels": paths["hotels"], "questions": paths["questions"],
             "entities": paths["entities"], "stories": paths["stories"], "ratings": paths["ratings"]}
    with serving(named) as (_, client):
        yield client


@pytest.fixture
def visit(chromium, site):
    """Open the page; afterwards, no error is in the console, and no request has left the server."""
    contexts, errors, requests = [], [], []

    def open_page(*, path="/", port=None, allowed="^$", **options):
        origin = f"http://127.0.0.1:{port or site.port}"
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        context.on("request", lambda request: requests.append((origin, request.url)))
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning")
                and not re.search(allowed, message.text) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(origin + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert requests
    assert [url for origin, url in requests if not url.startswith(origin + "/")] == []


def ask(page, run, text, *, context="", other="", button="#predict"):
    page.select_option("#run", run)
    page.select_option("#other", other)
    page.fill("#text", text)
    if context:
        page.fill("#context", context)
    page.click(button)
    page.wait_for_selector("#predict:not([disabled])")
    page.wait_for_selector("#stop", state="hidden")
    return page.locator("#results")


def test_type_and_predict(visit, paths):
    page = visit()
    results = ask(page, "support", TEXT)
    expected = load_run(paths["support"]).predict([TEXT])[0]
    label, probability = expected["label"], expected["probabilities"][expected["label"]]
    assert results.locator(".answer").inner_text() == f"{label} {100 * probability:.1f} %"
    shown = results.locator(".bars li").all_inner_texts()
    ranked = sorted(expected["probabilities"].items(), key=lambda item: -item[1])
    assert [one.split() for one in shown] == [[name, f"{100 * p:.1f}", "%"] for name, p in ranked]
    assert page.locator("#status").inner_text().startswith("support: ")


def test_explain_and_choose_a_word(visit, site):
    page = visit()
    results = ask(page, "support", TEXT, button="#explain")
    answer = site.post("/explain", {"text": TEXT})[2]
    words = results.locator(".explanation p.tokens button")
    assert words.all_inner_texts() == [token["token"] for token in answer["tokens"]]
    assert results.locator(".explanation p.tokens").inner_text() == TEXT
    for i, token in enumerate(answer["tokens"]):
        colour = words.nth(i).get_attribute("style")
        assert ("--against" if token["total"] < 0 else "--for") in colour
    words.nth(3).click()
    detail = results.locator(".explanation > .detail").inner_text()
    total = answer["tokens"][3]["total"]
    assert detail.startswith(f"parcel contributes {'−' if total < 0 else '+'}{abs(total):.3f} · vector: random")
    page.wait_for_selector("#neighbours h3")
    near = site.post("/neighbours", {"word": "parcel"})[2]
    for column, key in enumerate(("before", "after")):
        listed = page.locator("#neighbours ol").nth(column).locator("li").all_inner_texts()
        assert [one.split()[0] for one in listed] == [one["word"] for one in near[key]]
    results.locator("summary", has_text="Similar training examples").click()
    similar = results.locator("details", has=page.locator("summary", has_text="Similar training examples"))
    assert similar.locator("tbody tr").count() == len(answer["neighbours"]) == 5
    assert similar.locator("td").first.inner_text() == answer["neighbours"][0]["text"]


def test_another_label_is_explained(visit, site):
    page = visit()
    results = ask(page, "support", TEXT, button="#explain")
    for label in ("billing", "delivery", "product"):
        results.locator("select.explained").select_option(label)
        page.wait_for_selector(f"h3:has-text('Why {label}')")
        total = site.post("/explain", {"text": TEXT, "label": label})[2]["tokens"][3]["total"]
        assert results.locator("p.tokens button").nth(3).get_attribute("title").replace("−", "-") == f"{total:+.3f}"


def test_switch_heads(visit, site):
    page = visit()
    results = ask(page, "support", TEXT, button="#explain")
    attention = site.post("/explain", {"text": TEXT})[2]["attention"]
    results.locator(".attention .tokens button").nth(3).click()
    pictures = set()
    for layer in (0, 1):
        for head in (0, 1):
            results.locator("select.layer").select_option(str(layer))
            results.locator("select.which-head").select_option(str(head))
            weights = attention["layers"][layer][head][3]
            best = max(range(len(weights)), key=weights.__getitem__)
            note = results.locator(".attention .detail").inner_text()
            assert note.startswith(f"parcel attends to {attention['tokens'][best]} ({100 * weights[best]:.0f} %)")
            canvas = results.locator("canvas")
            assert f"layer {layer + 1}, head {head + 1}" in canvas.get_attribute("aria-label")
            pictures.add(canvas.screenshot())
    assert len(pictures) == 4


def test_compare_two_runs(visit, paths):
    page = visit()
    results = ask(page, "support", TEXT, other="hotels", button="#explain")
    cards = results.locator("section.card")
    assert cards.locator("h2").all_inner_texts() == ["support", "hotels"]
    assert cards.locator(".explanation").count() == 2
    first, second = (cards.nth(i).bounding_box() for i in (0, 1))
    assert first["y"] == second["y"]
    assert first["x"] + first["width"] < second["x"]
    assert page.locator("#status").inner_text().count(":") == 2


def test_answers_of_other_tasks(visit, paths):
    page = visit()
    results = ask(page, "questions", "Where do they live?", context=CONTEXT)
    answer = load_run(paths["questions"]).predict(["Where do they live?"], contexts=[CONTEXT])[0]
    assert results.locator("mark").inner_text() == answer["answer"] == CONTEXT[answer["start"]:answer["end"]]
    assert results.locator("p.text").inner_text() == CONTEXT
    text = "Olga Brown lives in Paris ."
    results = ask(page, "entities", text)
    found = load_run(paths["entities"]).predict([text])[0]["entities"]
    assert found
    assert [one.split("\n")[0] for one in results.locator(".entity").all_inner_texts()] == [
        f"{one['text']}{one['type']}" for one in found]
    results = ask(page, "ratings", "The soup was bad.")
    value = load_run(paths["ratings"]).predict(["The soup was bad."])[0]["value"]
    assert float(results.locator(".answer").inner_text()) == pytest.approx(value, rel=1e-3)
    results = ask(page, "hotels", "The staff were slow.")
    assert results.locator(".bars li").count() == 5


def test_text_is_streamed_and_can_be_stopped(visit, site):
    page = visit()
    page.select_option("#run", "stories")
    page.fill("#max-tokens", "30")
    results = ask(page, "stories", "An old goat", button="#continue")
    results.locator("p.soft", has_text="log-probability").wait_for()
    lines = site.post("/generate", {"run": "stories", "prompt": "An old goat", "max_tokens": 30,
                                    "temperature": 0.8})[2]
    assert results.locator("p.text").inner_text() == json.loads(lines.splitlines()[-1])["text"].rstrip()
    page.fill("#max-tokens", "1000")
    page.click("#continue")
    page.wait_for_selector("#stop")
    page.wait_for_selector("p.text.writing")
    page.click("#stop")
    results.locator("p.soft", has_text="stopped").wait_for()


def test_wrong_input_is_a_message(visit):
    page = visit(allowed="Failed to load resource")
    page.click("#predict")
    assert page.locator("#problem").inner_text() == "Enter a text."
    assert page.evaluate("document.activeElement.id") == "text"
    page.select_option("#run", "questions")
    page.fill("#text", "Where?")
    page.click("#predict")
    assert page.locator("#problem").inner_text() == "Enter a context."
    page.select_option("#run", "support")
    page.fill("#text", "a" * 20_001)
    page.click("#predict")
    assert "more than 20,000 characters" in page.locator("#problem").inner_text()
    page.fill("#text", "?!")
    page.click("#predict")
    page.wait_for_selector(".warning")
    assert "no known word" in page.locator(".warning").inner_text()
    page.route("**/predict", lambda route: route.fulfill(
        status=503, headers={"Retry-After": "7", "Content-Type": "application/json"}, body='{"error": "busy."}'))
    page.click("#predict")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#problem").inner_text() == "support: busy. Try again in 7 s."
    page.route("**/predict", lambda route: route.abort())
    page.click("#predict")
    page.locator("#problem", has_text="does not answer").wait_for()


def test_texts_and_labels_are_never_markup(visit):
    page = visit()
    bad = "<img src=x onerror='document.title=1'><script>document.title=2</script>"

    def answer(route):
        body = {"run": "support", "task": "classification", "predictions": [
            {"label": bad, "probabilities": {bad: 0.7, "</li>": 0.3}, "warning": bad}]}
        route.fulfill(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(body))

    page.route("**/predict", answer)
    results = ask(page, "support", bad)
    assert bad in results.locator(".answer").inner_text()
    assert page.locator("#results img, #results script").count() == 0
    assert page.title() == "vecformer"


def test_everything_is_reached_by_the_keyboard(visit):
    page = visit()
    page.wait_for_selector("#ask:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".answer")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "explain"
    page.keyboard.press("Enter")
    page.wait_for_selector(".explanation canvas")
    reached = []
    page.focus("#explain")
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(
            "document.activeElement.className || document.activeElement.textContent.slice(0, 20)"))
    assert "explained" in reached
    assert "layer" in reached
    assert "which-head" in reached
    page.locator("p.tokens button").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator(".explanation > .detail").inner_text().startswith("parcel contributes")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "."


@pytest.mark.parametrize("width", [320, 375])
def test_narrow_screens(width, visit):
    page = visit(viewport={"width": width, "height": 700}, has_touch=True)
    results = ask(page, "support", TEXT + " " + "x" * 300, other="hotels", button="#explain")
    results.locator(".tokens button").nth(3).tap()
    page.wait_for_selector("#neighbours h3")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first, second = (results.locator("section.card").nth(i).bounding_box() for i in (0, 1))
    assert second["y"] > first["y"] + first["height"]
    ask(page, "stories", "An old goat", button="#continue")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(scheme, visit):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_selector("#ask:not([hidden])")

    def check(state):
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], state

    check("empty")
    results = ask(page, "support", TEXT, other="hotels", button="#explain")
    results.locator("p.tokens button").nth(3).click()
    page.wait_for_selector("#neighbours h3")
    for summary in results.locator("summary").all():
        summary.click()
    check("two explanations")
    ask(page, "entities", "Olga Brown lives in Paris .", button="#explain")
    check("entities")
    ask(page, "questions", "Where do they live?", context=CONTEXT, button="#explain")
    check("question")
    ask(page, "stories", "An old goat", button="#continue")
    check("generated text")
    page.fill("#text", "")
    page.click("#predict")
    check("message")


def test_the_colours_can_be_chosen(visit):
    page = visit(color_scheme="light")
    colours = set()
    for name in ("Auto", "Light", "Dark"):
        assert page.locator("#theme").inner_text() == name
        colours.add((name != "Dark", page.evaluate("getComputedStyle(document.body).backgroundColor")))
        page.click("#theme")
    assert len(colours) == 2


def test_a_server_with_a_token(visit, paths):
    token = "a-long-secret-token"
    with serving({"support": paths["support"]}, token=token, hosts=None) as (_, client):
        page = visit(port=client.port, allowed="401")
        page.wait_for_selector("#token-form:not([hidden])")
        page.fill("#token", "wrong-wrong-wrong-wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-form:not([hidden])")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#ask:not([hidden])")
        assert page.locator("#other").is_hidden()
        linked = visit(port=client.port, path=f"/#token={token}")
        linked.wait_for_selector("#ask:not([hidden])")
        assert "token" not in linked.url
        linked.fill("#text", TEXT)
        linked.click("#predict")
        linked.wait_for_selector(".answer")
