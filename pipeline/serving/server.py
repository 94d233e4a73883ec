"""The server: uvicorn with limits for slow clients, and a shutdown that finishes the answers in progress."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import math
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.errors import ConfigError, PipelineError, brief
from pipeline.serving.guard import App
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
GRACE = 2.0          # seconds after which a client that was answered 408 is disconnected
CHECKS_EACH = 1.0    # seconds between checks of a connection
FULL = (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: 42\r\n\r\n"
        b'{"error": "the server has no connections"}')


class Connection(H11Protocol):
    """A connection that is closed if its client sends or reads too slowly; uvicorn has no such limits."""

    limits: Limits
    metrics: Metrics
    _check_later: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self._waiting_since = self._read_since = self.loop.time()
        self._check_later = self.loop.call_later(CHECKS_EACH, self._check)
        if len(self.connections) > self.limits.max_connections:
            self._close("too many", FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop checking."""
        if self._check_later:
            self._check_later.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def _check(self) -> None:
        now, limit = self.loop.time(), self.limits.client_seconds
        self._check_later = self.loop.call_later(CHECKS_EACH, self._check)
        state = self.conn.their_state
        if state not in (h11.IDLE, h11.SEND_BODY):
            self._waiting_since = now  # the request is complete
        if not self.transport.get_write_buffer_size():
            self._read_since = now
        if now - self._waiting_since > limit + (GRACE if state is h11.SEND_BODY else 0):
            self._close("slow request" if state is h11.SEND_BODY else "silent client")
        elif now - self._read_since > self.limits.answer_seconds:
            self._close("slow reader")

    def _close(self, reason: str, last: bytes = b"") -> None:
        self.metrics.closed.labels(reason).inc()
        if last:
            self.transport.write(last)
            self.transport.close()
        else:
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server; SIGHUP ends it too, and ignored signals stay ignored."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down on a signal, and raise it again afterwards."""
        in_main = threading.current_thread() is threading.main_thread()  # only it can handle signals
        before = {number: signal.getsignal(number) for number in SIGNALS if in_main}
        handled = [number for number, handler in before.items() if handler != signal.SIG_IGN]
        try:
            for number in handled:
                signal.signal(number, self.handle_exit)
            yield
        finally:
            for number in handled:
                signal.signal(number, before[number])
        if self._captured_signals:
            signal.raise_signal(self._captured_signals[0])


def build_server(app: App, limits: Limits, metrics: Metrics) -> Server:
    """Build a server of an application; ``run(sockets=[…])`` runs it until a signal.

    Args:
        app: the application.
        limits: times of clients, and the number of connections.
        metrics: counts closed connections.
    """
    protocol = type("LimitedConnection", (Connection,), {"limits": limits, "metrics": metrics})
    config: Any = uvicorn.Config(
        app, loop="asyncio", http=protocol, ws="none", lifespan="off", log_config=None, log_level="error",
        access_log=False, proxy_headers=False, server_header=False, timeout_keep_alive=math.ceil(limits.client_seconds),
        timeout_graceful_shutdown=math.ceil(limits.answer_seconds + limits.client_seconds), backlog=2048)
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: if there is no such address.
        PipelineError: if the port is in use or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, ValueError) as error:
        raise ConfigError(f"--host {brief(host)}: no such address on this machine; use 127.0.0.1, or 0.0.0.0 for all "
                          "addresses") from error
    try:
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PipelineError(f"{host}, port {port}: another program uses this port; choose another with --port N, "
                                "or any free one with --port 0") from error
        if error.errno == errno.EACCES:
            raise PipelineError(f"port {port}: not allowed; use --port with 1024 or more") from error
        raise ConfigError(f"--host {brief(host)}: {error.strerror or error}; use 127.0.0.1, or 0.0.0.0 for all "
                          "addresses") from error


def is_loopback(address: str) -> bool:
    """Whether an IP address is only reachable from this machine."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
