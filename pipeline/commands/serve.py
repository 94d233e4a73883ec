"""Serve finished runs over HTTP, with a page."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.table.listing import listed
from embeddings.table.paths import printable, written
from pipeline.errors import ConfigError, PipelineError
from pipeline.runs.trained import load_run

if TYPE_CHECKING:
    from pipeline.serving.app import Service

MIN_TOKEN = 16
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Address:
    """The address of a server.

    Attributes:
        url: the address of the page.
        token: the bearer token that requests require; None for none.
        generated: whether the token was generated.
    """

    url: str
    token: str | None
    generated: bool


def named_runs(runs: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    """Return the paths of runs by name.

    Args:
        runs: name and path of each; "" for the name of the folder.

    Raises:
        ConfigError: if two runs have the same name.
    """
    found: dict[str, Path] = {}
    for given, path in runs:
        name = given or printable(path.absolute().name) or "run"
        if name in found:
            raise ConfigError(f"two runs have the name {name!r}; give one of them another name: NAME={written(path)}")
        found[name] = path
    return found


def load_service(
    runs: Mapping[str, Path], *, precision: str = "float32", verify: bool = True, **limits: float
) -> Service:
    """Load runs to serve.

    Args:
        runs: folder of each run by name; the first one is the default of requests.
        precision: precision of predictions.
        verify: check that the files of the runs have the SHA-256 that ``manifest.json`` lists.
        limits: values of :class:`pipeline.serving.limits.Limits`.

    Raises:
        PipelineError: if the extra ``serve`` is not installed.
        ConfigError: if a limit is invalid.
        RunFolderError: if there is no such run, or its files are damaged.
    """
    require_extra()
    from pipeline.serving.app import Service
    from pipeline.serving.limits import Limits
    from pipeline.serving.served_run import ServedRun

    loaded = {name: ServedRun(name, load_run(path, precision=precision, verify=verify))
              for name, path in runs.items()}
    return Service(loaded, Limits(**limits))  # type: ignore[arg-type]


def serve(
    service: Service, *, host: str = "127.0.0.1", port: int = 8000, token: str | None = None,
    announce: Callable[[Address], object] = lambda address: None,
) -> None:
    """Serve until a signal ends the process; requests in progress are answered first.

    Args:
        service: the runs.
        host: address to listen on; other machines have access if it is not a loopback address.
        port: port; 0 for any free one.
        token: bearer token that requests require. By default none on a loopback address, otherwise a random one.
        announce: called with the address when the server accepts connections.

    Raises:
        ConfigError: if there is no such address, or the token is too short.
        PipelineError: if the port is in use.
        KeyboardInterrupt: after a signal.
    """
    from pipeline.serving.app import application
    from pipeline.serving.server import build_server, is_loopback, listen

    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token):
        raise ConfigError(f"the token must have at least {MIN_TOKEN} printable ASCII characters without spaces; leave "
                          "it out to get a random one")
    with listen(host, port) as listening:
        bound = listening.getsockname()
        local = is_loopback(bound[0])
        generated = token is None and not local
        token = secrets.token_urlsafe(24) if generated else token
        hosts = {*LOOPBACK, _in_url(host), _in_url(bound[0])} if token is None else None  # others have no token
        server = build_server(application(service, hosts=hosts, token=token), service.limits, service.metrics)
        try:
            service.start()
            announce(Address(f"http://{_shown(host, local)}:{bound[1]}", token, generated))
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            raise KeyboardInterrupt("requests in progress were answered") from None
        finally:
            service.stop()


def require_extra() -> None:
    """Require the packages of the extra ``serve``.

    Raises:
        PipelineError: if one is missing.
    """
    missing = []
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise PipelineError(f"serving needs {listed(missing)}: pip install 'vecformer[serve]'")


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(host: str, local: bool) -> str:
    """Return the host of the address to open: the name of this machine, if the server listens on all addresses."""
    if not local and host in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return _in_url(host)
