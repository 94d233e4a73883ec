"""Clients that are slow, silent, hostile or gone, and full queues: polite refusals, and no effect on others."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.pipeline.serving.server_of_runs import serving

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def strict(paths):
    """A server with short times."""
    with serving({"support": paths["support"]}, client_seconds=1.0, answer_seconds=3.0) as (service, client):
        yield service, client


def connect(client):
    return socket.create_connection(("127.0.0.1", client.port), timeout=20)


def rest(connection):
    """Read until the server closes the connection."""
    read = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return read
        if not part:
            return read
        read += part


@pytest.mark.parametrize("sent", [b"", b"POST /pre", HEAD])
def test_silent_clients_are_disconnected(sent, strict):
    began = time.monotonic()
    with connect(strict[1]) as connection:
        connection.sendall(sent)
        assert rest(connection) == b""
    assert 0.9 < time.monotonic() - began < 8


def test_one_byte_at_a_time_is_no_way_to_stay(strict):
    began = time.monotonic()
    with connect(strict[1]) as connection:
        try:
            for byte in HEAD * 3:
                connection.send(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
    assert time.monotonic() - began < 8


def test_a_slow_body_is_answered_408(strict):
    with connect(strict[1]) as connection:
        connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"texts"')
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"was not complete after 1 s" in answer
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n\r\n" * 50 + b"x", b"A" * 100_000,
    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000, bytes(range(256)) * 20,
])
def test_garbage_is_refused(sent, strict):
    with connect(strict[1]) as connection:
        try:
            connection.sendall(sent)
            answer = rest(connection)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert b"Traceback" not in answer
    assert strict[1].get("/health")[0] == 200


def test_a_body_without_a_length_is_cut_off(strict):
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    with connect(strict[1]) as connection:
        with suppress(ConnectionError):
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"0\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 413 ")


def test_the_answer_to_a_refused_request_arrives_whatever_the_size_of_its_body(strict):
    for n in (10, 100_000, 2**20):
        with connect(strict[1]) as connection:
            connection.sendall(HEAD.replace(b"application/json", b"text/plain") + b"Content-Length: %d\r\n\r\n" % n)
            time.sleep(0.1)
            connection.sendall(b"a" * n)
            answer = b""
            while b"Content-Type: application/json\"}" not in answer and (part := connection.recv(4096)):
                answer += part
        assert answer.startswith(b"HTTP/1.1 415 "), n


def test_a_body_is_not_read_if_its_length_is_absurd(strict):
    with connect(strict[1]) as connection:
        connection.sendall(HEAD + b"Content-Length: 99999999999999\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_does_not_read_is_disconnected(paths):
    with serving({"support": paths["support"]}, client_seconds=1.0, answer_seconds=1.0) as (_, client):
        body = json.dumps({"texts": ["parcel"] * 256}).encode()
        with connect(client) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            try:
                for _ in range(400):  # pipelined, more than the buffers of the system take
                    connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            except OSError:
                pass
            until = time.monotonic() + 15
            while "slow reader" not in client.get("/metrics")[2] and time.monotonic() < until:
                time.sleep(0.2)
            assert 'reason="slow reader"' in client.get("/metrics")[2]


def test_connections_are_limited(paths):
    with serving({"support": paths["support"]}, max_connections=5) as (_, client):
        opened = [connect(client) for _ in range(5)]
        time.sleep(0.3)
        with connect(client) as sixth:
            answer = rest(sixth)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body)["error"]
        for one in opened:
            one.close()
        time.sleep(0.3)
        assert client.get("/health")[0] == 200


def slowed(service, monkeypatch, seconds=0.4):
    """Make each computation take longer; return the list of the computed texts."""
    seen = []
    cls = type(service.workers["support"].trained)
    original = cls.predict_for

    def slow(self, examples, **more):
        seen.append([example.text for example in examples])
        time.sleep(seconds)
        return original(self, examples, **more)

    monkeypatch.setattr(cls, "predict_for", slow)
    return seen


def test_a_full_queue_refuses_politely_and_waiting_texts_are_computed_together(paths, monkeypatch):
    with serving({"support": paths["support"]}, max_waiting=4) as (service, client):
        seen = slowed(service, monkeypatch)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda i: client.post("/predict", {"texts": [f"parcel {i}"]}), range(20)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503}
    for status, headers, answer in answers:
        if status == 503:
            assert 1 <= int(headers["Retry-After"]) <= 30
            assert "try again" in answer["error"]
    assert max(map(len, seen)) > 1


def test_an_answer_that_takes_too_long_is_refused(paths, monkeypatch):
    with serving({"support": paths["support"]}, answer_seconds=0.5) as (service, client):
        slowed(service, monkeypatch, seconds=1.5)
        status, headers, answer = client.post("/predict", {"texts": ["parcel"]})
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "no answer within 0.5 s" in answer["error"]


def test_requests_of_clients_that_are_gone_are_not_computed(paths, monkeypatch):
    with serving({"support": paths["support"]}) as (service, client):
        seen = slowed(service, monkeypatch, seconds=1.0)
        first = threading.Thread(target=client.post, args=("/predict", {"texts": ["first"]}))
        first.start()
        while not seen:
            time.sleep(0.01)
        body = b'{"texts": ["gone"]}'
        with connect(client) as connection:
            connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.2)
        time.sleep(0.2)
        client.post("/predict", {"texts": ["last"]})
        first.join()
    assert seen == [["first"], ["last"]]


def test_a_generation_ends_when_its_client_is_gone(paths):
    with serving({"stories": paths["stories"]}) as (service, client):
        body = b'{"prompt": "An old goat", "max_tokens": 1000}'
        with connect(client) as connection:
            connection.sendall(HEAD.replace(b"/predict", b"/generate")
                               + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        began = time.monotonic()
        assert client.post("/predict", {"texts": ["a fox"]})[0] == 200
        waited = time.monotonic() - began
        began = time.monotonic()
        client.post("/generate", {"prompt": "An old goat", "max_tokens": 1000})
        assert waited < 0.5 * (time.monotonic() - began)
        assert service.workers["stories"].is_alive


def test_one_request_that_fails_does_not_affect_those_of_its_batch(paths, monkeypatch):
    with serving({"support": paths["support"]}) as (service, client):
        cls = type(service.workers["support"].trained)
        original, sizes = cls.predict_for, []

        def fails(self, examples, **more):
            sizes.append(len(examples))
            time.sleep(0.2)
            if any(example.text == "bad" for example in examples):
                raise ZeroDivisionError
            return original(self, examples, **more)

        monkeypatch.setattr(cls, "predict_for", fails)
        texts = ["a", "b", "bad", "c", "d", "e"]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda text: client.post("/predict", {"texts": [text]})[0], texts))
    assert answers == [200, 200, 500, 200, 200, 200]
    assert max(sizes) > 1


def test_several_requests_on_one_connection(strict):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", strict[1].port, timeout=20)
    local = set()
    for _ in range(8):  # longer than a client has for one request
        connection.request("POST", "/predict", b'{"texts": ["parcel"]}', {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, b"label" in answer.read()) == (200, True)
        local.add(connection.sock.getsockname())
        time.sleep(0.3)
    assert len(local) == 1
    connection.close()
