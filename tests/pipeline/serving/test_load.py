"""Many clients at once, hostile ones beside them: right answers and polite refusals only, and flat memory."""

import json
import random

import numpy as np
import pytest

from pipeline import load_run
from tests.pipeline.serving.load import load_server
from tests.pipeline.serving.test_server_process import started

WORDS = ["where", "is", "my", "parcel", "card", "charged", "twice", "refund", "late", "broken", "zipper", "xqzt", "☂"]
N_REQUESTS = 200


@pytest.fixture(scope="module")
def requests(paths):
    """Requests of one to four texts, each with the check of its answer."""
    trained, choose, made = load_run(paths["support"]), random.Random(1), []
    for _ in range(N_REQUESTS):
        texts = [" ".join(choose.choices(WORDS, k=choose.randint(1, 30))) for _ in range(choose.randint(1, 4))]
        expected = trained.predict(texts)

        def right(answer, expected=expected):
            return [one["label"] for one in answer] == [one["label"] for one in expected] and all(
                np.allclose([*one["probabilities"].values()], [*other["probabilities"].values()], atol=1e-5)
                for one, other in zip(answer, expected, strict=True))

        made.append((json.dumps({"texts": texts}).encode(), right))
    return made


def test_five_seconds_of_load(paths, requests):
    with started(paths["support"], "--client-seconds", 2, "--max-waiting", 20) as (process, _, client):
        load = load_server(client.port, process.pid, requests, clients=50, seconds=5, hostile=2)
        assert client.get("/health")[0] == 200
    assert load.wrong == [], load
    assert load.statuses[200] > 100, load
    assert set(load.statuses) == {200, 503}, load  # more clients than the queue has places
    assert min(load.closed[kind] for kind in ("garbage", "huge", "slow", "silent")) > 0, load


@pytest.mark.slow
def test_a_minute_of_load(paths, requests):
    with started(paths["support"], "--client-seconds", 5) as (process, _, client):
        load_server(client.port, process.pid, requests, clients=200, seconds=5, hostile=5)  # buffers, caches
        load = load_server(client.port, process.pid, requests, clients=200, seconds=60, hostile=5)
        print(load)
        assert client.get("/health")[0] == 200
    assert load.wrong == []
    assert load.statuses[200] > 1000
    assert set(load.statuses) <= {200, 503}
    assert load.growth() < 0.1
    assert min(load.closed[kind] for kind in ("garbage", "huge", "slow", "silent")) > 0


@pytest.mark.slow
def test_hostile_clients_do_not_slow_the_others(paths, requests):
    """Interleaved measurements, so that other load of the machine affects both alike."""
    throughput = {0: [], 5: []}
    with started(paths["support"], "--client-seconds", 5) as (process, _, client):
        for _ in range(6):
            for hostile in throughput:
                load = load_server(client.port, process.pid, requests, clients=20, seconds=5, hostile=hostile)
                throughput[hostile].append(load.statuses[200] / 5)  # hostile clients end later than the others
                assert load.wrong == []
    ratio = np.median(throughput[5]) / np.median(throughput[0])
    print(f"answers per second: {throughput}; with hostile clients {ratio:.0%}")
    assert ratio > 0.9
