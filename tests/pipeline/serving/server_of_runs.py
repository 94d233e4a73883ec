"""Small runs, a real server of them on a free port, and a client."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from pipeline import RunConfig, run
from pipeline.commands.serve import LOOPBACK, load_service
from pipeline.serving.app import application
from pipeline.serving.server import build_server, listen

ROOT = Path(__file__).parents[3]
TINY = {"recipe": "plain", "source": "random", "baselines": "none", "model.n_layers": 2, "model.d_model": 16,
        "model.n_heads": 2, "model.d_ff": 32, "data.unseen_words": 50}
TASKS = {
    "support": ("classification", "support", 2), "pairs": ("classification", "pairs", 1),
    "questions": ("question-answering", "questions", 1), "entities": ("tagging", "entities", 15),
    "stories": ("language-model", "stories", 1), "hotels": ("multi-label", "hotels", 1),
    "ratings": ("regression", "ratings", 1), "masked": ("masked-language-model", "stories", 1),
    "phrases": ("translation", "phrases", 1),
}


def train(folder, name):
    task, data, epochs = TASKS[name]
    values = {**TINY, "task": task, "data.path": str(ROOT / "data" / data), "training.epochs": epochs,
              "data.limit_train": 100}
    if task == "translation":
        values |= {"data.languages": ["en", "de"], "generation.max_tokens": 10}
    nested = {}
    for key, value in values.items():
        section, _, last = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[last] = value
    return run(RunConfig.from_mapping(nested), folder / name).path


class Client:
    """A client of a server, one connection for each request."""

    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def ask(self, method, path, body=None, headers=None, raw=None):
        """Return status, headers and content of an answer; JSON is decoded."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Content-Type": "application/json"} if body is not None or raw is not None else {}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        content = raw if raw is not None else None if body is None else json.dumps(body)
        try:
            connection.request(method, path, content, {**sent, **(headers or {})})
            answer = connection.getresponse()
            read = answer.read()
        finally:
            connection.close()
        kind = answer.getheader("Content-Type", "")
        return answer.status, answer.headers, json.loads(read) if kind == "application/json" else read.decode()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)


@contextmanager
def serving(paths, *, token=None, hosts=LOOPBACK, **limits):
    """Serve runs in a thread; yields the service and a client."""
    service = load_service(paths, **limits)
    with listen("127.0.0.1", 0) as listening:
        server = build_server(application(service, hosts=hosts, token=token), service.limits, service.metrics)
        service.start()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        port = listening.getsockname()[1]
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield service, Client(port, token)
        finally:
            server.should_exit = True
            thread.join(60)
            service.stop()
            assert not thread.is_alive()
