"""Answers of the API: equal to those of the functions; errors are one sentence, without paths."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline import load_run
from pipeline.cli.main import cli
from pipeline.commands.generate import generate, generation_config
from pipeline.explanation.explain import explain
from pipeline.serving.served_run import finite, without_paths
from tests.pipeline.serving.server_of_runs import serving

TEXTS = ["Where is my parcel? It never arrived.", "I was charged twice.", "The zipper broke ☹", "", "xqzt",
         "parcel " * 600]
CONTEXT = "Kangaroos are well known animals. They live in Australia. Their food is grass."
INPUTS = {
    "pairs": [{"text": "A woman is singing.", "context": "Nobody sings."}, {"text": "A dog.", "context": "A cat."}],
    "questions": [{"text": "Where do kangaroos live?", "context": CONTEXT}, {"text": "What?", "context": "Grass 🌱."}],
    "masked": ["The old <mask> sat down.", "<mask> <mask>"],
    "phrases": ["The doctor eats fish.", "The child sleeps."],
    "stories": ["An old goat heard it.", "Then the fog came."],
}


def close(one, other, tolerance=1e-5):
    """Whether two JSON values are equal, numbers to a tolerance: batches differ in rounding."""
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= tolerance * max(1, abs(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == other


@pytest.mark.parametrize("name", ["support", "pairs", "questions", "entities", "stories", "hotels", "ratings", "masked",
                                  "phrases"])
def test_predictions_are_those_of_the_run(name, served, paths):
    _, client = served
    texts = INPUTS.get(name, TEXTS)
    status, _, answer = client.post("/predict", {"run": name, "texts": texts})
    pairs = [(one, "") if isinstance(one, str) else (one["text"], one["context"]) for one in texts]
    contexts = [context for _, context in pairs] if any(context for _, context in pairs) else []
    expected = load_run(paths[name]).predict([text for text, _ in pairs], contexts=contexts)
    assert status == 200
    assert (answer["run"], answer["task"]) == (name, load_run(paths[name]).config.task)
    assert close(json.loads(json.dumps(finite(expected))), answer["predictions"])


def test_predictions_are_those_of_the_command(served, paths):
    done = CliRunner().invoke(cli, ["predict", str(paths["support"]), *TEXTS[:3], "--json"])
    _, _, answer = served[1].post("/predict", {"texts": TEXTS[:3]})
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert close([{**one, "text": text} for one, text in zip(answer["predictions"], TEXTS, strict=False)],
                 [{key: line[key] for key in (*answer["predictions"][0], "text")} for line in lines])


def test_requests_at_the_same_time_get_their_own_answers(served, paths):
    client = served[1]
    words = ["parcel", "card", "refund", "xqzt", "zipper", "late", "broken", "charged"]
    asked = [[f"{words[i % 8]} {words[(i * 3 + j) % 8]}" for j in range(1 + i % 4)] for i in range(60)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda texts: client.post("/predict", {"run": "support", "texts": texts}), asked))
    trained = load_run(paths["support"])
    for texts, (status, _, answer) in zip(asked, answers, strict=True):
        assert status == 200
        assert close(trained.predict(texts), answer["predictions"])


def test_lines_of_a_language_model_are_not_mixed_with_those_of_others(served, paths):
    asked = [["An old goat heard it.", "Then the fog came."], ["The sparrow did so."], ["It ate its supper."]] * 5
    with ThreadPoolExecutor(15) as pool:
        answers = list(pool.map(lambda texts: served[1].post("/predict", {"run": "stories", "texts": texts}), asked))
    trained = load_run(paths["stories"])
    for texts, (_, _, answer) in zip(asked, answers, strict=True):
        assert close(trained.predict(texts), answer["predictions"])


@pytest.mark.parametrize(("name", "more"), [
    ("support", {"text": "Where is my parcel?"}), ("support", {"text": "Where is my parcel?", "label": "billing"}),
    ("pairs", {"text": "A woman sings.", "context": "A man sings."}),
    ("questions", {"text": "Where do kangaroos live?", "context": CONTEXT, "label": "end"}),
    ("entities", {"text": "Olga lives in Paris .", "word": 3}), ("ratings", {"text": "The soup was bad."}),
    ("hotels", {"text": "The staff were slow.", "steps": 8}),
])
def test_explanations_are_those_of_the_function(name, more, served, paths):
    status, _, answer = served[1].post("/explain", {"run": name, **more})
    options = {**more, "word": str(more["word"])} if "word" in more else more
    expected = explain(load_run(paths[name]), **options).to_json()
    assert status == 200
    for key in ("tokens", "label", "probability", "attention", "completeness", "without_word", "ngrams", "neighbours"):
        assert close(json.loads(json.dumps(finite(expected[key]))), answer[key], 1e-4), key


def test_an_explanation_has_no_path(served, paths):
    _, _, answer = served[1].post("/explain", {"text": "Where is my parcel?"})
    assert answer["neighbours"]
    assert "/" not in answer["neighbours_note"]


def test_generated_text_is_streamed(served, paths):
    request = {"run": "stories", "prompt": 'An old "goat', "max_tokens": 30, "temperature": 0.9, "seed": 3}
    status, headers, lines = served[1].post("/generate", request)
    messages = [json.loads(line) for line in lines.splitlines()]
    text = "".join(message["text"] for message in messages[:-1])
    trained = load_run(paths["stories"])
    config = generation_config(trained, {"max_tokens": 30, "temperature": 0.9})
    expected = generate(trained, request["prompt"], config=config, seed=3)[0]
    assert (status, headers["Content-Type"]) == (200, "application/x-ndjson")
    assert len(messages) > 15
    assert messages[0] == {"text": request["prompt"]}
    assert text == messages[-1]["text"] == expected.text
    assert messages[-1]["done"]
    assert messages[-1]["log_probability"] == pytest.approx(expected.log_probability, rel=1e-5)


def test_neighbours_before_and_after_training(served, paths):
    _, _, answer = served[1].post("/neighbours", {"word": "parcel", "n": 5})
    trained = load_run(paths["support"])
    words = trained.tokenizer.vocabulary()[5:]
    for key, vectors in (("before", trained.table.vectors[: len(words)]),
                         ("after", trained.embedding.weight.detach().numpy()[5:])):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        cosine = unit @ unit[words.index("parcel")]
        best = [i for i in np.argsort(-cosine) if words[i] != "parcel"][:5]
        assert [one["word"] for one in answer[key]] == [words[i] for i in best]
        assert [one["similarity"] for one in answer[key]] == pytest.approx(cosine[best].tolist(), abs=1e-5)
    assert served[1].post("/neighbours", {"word": "xqzt"})[2] == {
        "run": "support", "word": "xqzt", "known": False, "before": [], "after": []}


def test_the_runs_and_the_health(served):
    status, _, found = served[1].get("/runs")
    by_name = {one["name"]: one for one in found["runs"]}
    assert (status, found["runs"][0]["name"]) == (200, "support")
    assert by_name["questions"]["inputs"] == ["question", "context"]
    assert by_name["questions"]["context_required"]
    assert by_name["pairs"]["inputs"] == ["text", "second text"]
    assert not by_name["pairs"]["context_required"]
    assert by_name["support"]["labels"] == ["billing", "delivery", "product"]
    assert [name for name, one in by_name.items() if one["generates"]] == ["stories"]
    assert not by_name["phrases"]["explains"]
    assert served[1].get("/health")[2] == {"status": "ok"}


def test_metrics_count_requests_and_texts(paths):
    with serving({"support": paths["support"]}) as (_, client):
        client.post("/predict", {"texts": ["a parcel", "a card"]})
        client.post("/predict", {"texts": []})
        client.get("/nowhere/at/all")
        status, headers, text = client.get("/metrics")
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    values = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) ([0-9.e+]+)$", text, re.MULTILINE))
    assert values['vecformer_texts_total{run="support"}'] == "2.0"
    assert values['vecformer_requests_total{path="/predict",status="200"}'] == "1.0"
    assert values['vecformer_requests_total{path="/predict",status="422"}'] == "1.0"
    assert values['vecformer_requests_total{path="other",status="404"}'] == "1.0"
    assert values['vecformer_batch_texts_count{run="support"}'] == "1.0"
    assert float(values["process_resident_memory_bytes"]) > 1e6


WRONG = [
    ("/predict", {"texts": []}, 422, "at least 1 item"),
    ("/predict", {"texts": ["a"] * 257}, 422, "at most 256 items"),
    ("/predict", {"texts": ["a" * 20_001]}, 422, "at most 20000 characters"),
    ("/predict", {"texts": "a text"}, 422, "valid list"),
    ("/predict", {"texts": [None]}, 422, "valid string"),
    ("/predict", {"texts": ["a"], "model": "x"}, 422, "model: Extra inputs are not permitted"),
    ("/predict", {"texts": ["a"], "run": "../../etc"}, 422, "Input should be 'support'"),
    ("/predict", {"texts": ["a", {"text": "a", "context": "b"}]}, 409, "texts[1]: the run reads single texts"),
    ("/predict", {"run": "questions", "texts": ["Where?"]}, 409, "texts[0]: the run answers questions"),
    ("/predict", {"run": "masked", "texts": ["no mask"]}, 409, "write <mask>"),
    ("/predict", [], 422, "valid dictionary"),
    ("/explain", {"text": " "}, 409, "no word"),
    ("/explain", {"text": "parcel", "label": "other"}, 409, "no label is called 'other'"),
    ("/explain", {"text": "parcel", "word": 0}, 409, "leave out \"word\""),
    ("/explain", {"text": "parcel", "steps": 0}, 422, "greater than or equal to 1"),
    ("/explain", {"run": "phrases", "text": "fish"}, 409, "no explanations for the task translation"),
    ("/generate", {"run": "support", "prompt": "a"}, 409, "not a language model"),
    ("/generate", {"run": "stories", "max_tokens": 100_000}, 422, "less than or equal to 1000"),
    ("/neighbours", {"word": ""}, 422, "at least 1 character"),
]


@pytest.mark.parametrize(("path", "body", "status", "message"), WRONG)
def test_wrong_requests_are_one_sentence(path, body, status, message, served):
    got, headers, answer = served[1].post(path, body)
    assert (got, list(answer)) == (status, ["error"])
    assert message in answer["error"]
    assert len(answer["error"]) < 700
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("raw", "status"), [
    (b"", 422), (b"{", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b'{"texts": [NaN]}', 422),
    (b'{"texts": ["\\ud800"]}', 422), (b'{"texts": [' + b"9" * 5_000 + b"]}", 400), (b"null", 422),
])
def test_bodies_that_are_no_request(raw, status, served):
    got, _, answer = served[1].post("/predict", raw=raw)
    assert (got, list(answer)) == (status, ["error"])


def test_other_methods_types_and_paths(served):
    client = served[1]
    assert client.get("/predict")[0] == 405
    assert client.ask("DELETE", "/runs")[0] == 405
    assert client.post("/predict", raw=b'{"texts": ["a"]}', headers={"Content-Type": "text/plain"})[0] == 415
    assert client.get("/docs")[0] == client.get("/redoc")[0] == client.get("/../pyproject.toml")[0] == 404
    assert client.get("/page.py")[0] == client.get("/__init__.py")[0] == 404


def test_a_body_that_is_too_large(served):
    body = b'{"texts": ["' + b"a" * (3 * 2**20) + b'"]}'
    status, headers, answer = served[1].post("/predict", raw=body)
    assert (status, headers["Connection"]) == (413, "close")
    assert "1,048,576 bytes" in answer["error"]


def test_errors_of_the_program_have_no_traceback(served, monkeypatch, caplog):
    service, client = served

    def fails(examples):
        raise ZeroDivisionError("/home/someone/secret")

    monkeypatch.setattr(type(service.workers["support"].trained), "predict_for", lambda self, examples: fails(examples))
    monkeypatch.setattr(type(service.runs["support"]), "description", fails)
    for status, _, answer in (client.post("/predict", {"texts": ["a"]}), client.get("/runs")):
        assert (status, answer) == (500, {"error": "the server failed to answer; its log has the reason"})
    until = time.monotonic() + 10
    while caplog.text.count("ZeroDivisionError: /home/someone/secret") < 2:  # logged after the answer
        assert time.monotonic() < until
        time.sleep(0.05)
    monkeypatch.undo()
    assert client.post("/predict", {"texts": ["a"]})[0] == 200


def test_the_server_answers_its_own_names_and_pages_only(served):
    client = served[1]
    for host in ("localhost", "127.0.0.1:80", "[::1]:9", f"LOCALHOST:{client.port}"):
        assert client.get("/health", headers={"Host": host})[0] == 200, host
    for host in ("example.org", "localhost.example.org", "127.0.0.1.example.org", "", "[::1]x"):
        assert client.get("/health", headers={"Host": host})[0] == 421, host
    own = f"http://127.0.0.1:{client.port}"
    assert client.post("/predict", {"texts": ["a"]}, headers={"Origin": own})[0] == 200
    for origin in ("http://example.org", "null", "http://127.0.0.1:1"):
        assert client.post("/predict", {"texts": ["a"]}, headers={"Origin": origin})[0] == 403


def test_a_token_protects_everything_about_the_runs(paths):
    with serving({"support": paths["support"]}, token="a-long-secret-token", hosts=None) as (_, client):
        assert client.post("/predict", {"texts": ["a"]})[0] == 200
        described = client.get("/openapi.json")[2]
        client.token = None
        for path in ("/", "/page.js", "/page.css", "/health"):
            assert client.get(path)[0] == 200, path
        for path in ("/runs", "/metrics", "/openapi.json", "/nowhere"):
            assert client.get(path)[0] == 401, path
        for given in ("Bearer wrong", "Bearer ", "a-long-secret-token", "Basic a-long-secret-token", "Bearer é"):
            status, headers, _ = client.post("/predict", {"texts": ["a"]},
                                             headers={"Authorization": given.encode("latin-1")})
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), given
        assert client.get("/health", headers={"Host": "example.org"})[0] == 200
    assert described["paths"]["/predict"]["post"]["security"] == [{"token": []}]


def test_every_answer_has_the_headers_of_a_strict_policy(served):
    client = served[1]
    for status, headers, _ in (client.get("/"), client.get("/nowhere"), client.post("/predict", {"texts": []}),
                               client.get("/runs", headers={"Host": "example.org"})):
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, status
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_names_no_other_server(served):
    client = served[1]
    page = client.get("/")[2]
    files = [client.get(path)[2] for path in re.findall(r'(?:href|src)="(/[^"#]+)"', page)]
    assert len(files) >= 4
    for text in (page, *map(str, files)):
        assert not re.search(r"(?:src|href|url|import|from)\s*[=(]?\s*[\"'(]?(?:https?:)?//", text)
    assert "innerHTML" not in "".join(map(str, files))


def test_paths_are_removed_from_specifications():
    assert without_paths("glove:/home/a/vectors.txt,limit=5+word2vec") == "glove:vectors.txt,limit=5+word2vec"
    assert without_paths("glove+word2vec,dim=100") == "glove+word2vec,dim=100"
    assert finite({"a": [float("inf"), 0.123456789]}, 3) == {"a": [None, 0.123]}
