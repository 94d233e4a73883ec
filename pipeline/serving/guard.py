"""The outermost layer of the application: access control, limits of requests, headers and metrics of answers."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.refusals import RefusedError

log = logging.getLogger("vecformer")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = (
    (b"content-security-policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
     b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::\d*)?")


class Guard:
    """Check each request, then read its body completely, and only then call the application.

    Args:
        app: the application.
        paths: its paths; others are counted as ``other``.
        posted: paths whose requests have a body of JSON.
        open_paths: paths that require no token.
        limits: sizes and times.
        metrics: receives the counts.
        hosts: names that the header ``Host`` may have; None for any. Otherwise a page of another site could send
            requests to a server on this machine by rebinding its own name (DNS rebinding).
        token: the bearer token that requests require; None for none.
    """

    def __init__(
        self, app: App, *, paths: Collection[str], posted: Collection[str], open_paths: Collection[str], limits: Limits,
        metrics: Metrics, hosts: Collection[str] | None, token: str | None,
    ) -> None:
        self.app, self.paths, self.posted, self.open_paths = app, *map(frozenset, (paths, posted, open_paths))
        self.limits, self.metrics = limits, metrics
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self.token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        began = time.perf_counter()
        path = scope["path"] if scope["path"] in self.paths else "other"
        try:
            headers = {name.lower(): value for name, value in scope["headers"]}
            try:
                self._check(scope, headers)
            except RefusedError:
                with suppress(RefusedError):
                    await self._body(headers, receive)  # otherwise a client that is still sending may miss the answer
                raise
            body = await self._body(headers, receive)
            began = time.perf_counter()
            await self._run(scope, body, receive, answer)
        except RefusedError as refused:
            await answer.refuse(refused)
        finally:
            if answer.status:
                self.metrics.requests.labels(path, str(answer.status)).inc()
                self.metrics.seconds.labels(path).observe(time.perf_counter() - began)
                log.info("%s %s %d", scope["method"], path, answer.status)

    def _check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Check the host, the origin, the token and the content type of a request.

        Raises:
            RefusedError: if it must not be answered.
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and _name(host) not in self.hosts:
            raise RefusedError(421, "the server only accepts requests to its own address")
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() != host.lower():
            raise RefusedError(403, "the server rejects requests from pages of other sites")
        if self.token is not None and scope["path"] not in self.open_paths:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            if not (hmac.compare_digest(given.strip(), self.token) and scheme.lower() == b"bearer"):
                raise RefusedError(401, "a bearer token is required: send the header Authorization: Bearer TOKEN")
        if scope["method"] == "POST" and scope["path"] in self.posted:
            kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if kind != b"application/json":
                raise RefusedError(415, "send JSON, with the header Content-Type: application/json")

    async def _body(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        """Read the body of a request within the limits of size and time.

        Raises:
            RefusedError: if it is too large or too slow.
        """
        limit = self.limits.max_body
        too_large = RefusedError(413, f"the body has more than {limit:,} bytes; send fewer texts at once")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self.limits.max_drained:
            raise too_large
        parts, n = [], 0
        try:
            async with asyncio.timeout(self.limits.client_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _GoneError
                    n += len(message.get("body", b""))
                    if n <= limit:
                        parts.append(message.get("body", b""))
                    else:
                        parts.clear()
                    if not message.get("more_body") or n > self.limits.max_drained:
                        break
        except TimeoutError:
            self.metrics.closed.labels("slow request").inc()
            raise RefusedError(408, f"the request was not complete after {self.limits.client_seconds:g} s") from None
        if n > limit:
            raise too_large
        return b"".join(parts)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, answer: _Answer) -> None:
        """Call the application with a complete body; cancel it if the client disconnects."""
        gone = asyncio.Event()
        bodies = iter([body])

        async def replay() -> Message:
            for whole in bodies:
                return {"type": "http.request", "body": whole, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        work = asyncio.ensure_future(self.app(scope, replay, answer))
        watching = asyncio.ensure_future(watch())
        try:
            await asyncio.wait({work, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not answer.complete:
                work.cancel()
                await asyncio.wait({work})
            if not work.cancelled():
                await work
        finally:
            work.cancel()
            watching.cancel()


class _GoneError(RefusedError):
    """The client has disconnected."""

    def __init__(self) -> None:
        super().__init__(499, "the client has disconnected")


class _Answer:
    """Sends an answer, with the headers that all answers have."""

    def __init__(self, send: Send) -> None:
        self.send, self.status, self.complete = send, 0, False

    async def __call__(self, message: Message) -> None:
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete = True
        await self.send(message)

    async def refuse(self, refused: RefusedError) -> None:
        """Answer with an error, and close the connection, since the body may not have been read."""
        if isinstance(refused, _GoneError):
            return
        body = json.dumps({"error": refused.message}).encode()
        more = [(b"www-authenticate", b"Bearer")] if refused.status == 401 else []
        await self({"type": "http.response.start", "status": refused.status, "headers": [
            (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"), *more,
            *((name.encode(), value.encode()) for name, value in refused.headers.items())]})
        await self({"type": "http.response.body", "body": body})


def _name(host: str) -> str | None:
    """Return the name in a header ``Host``, without the port; None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match[1].lower() if match else None
