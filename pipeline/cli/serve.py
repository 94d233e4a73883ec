"""``vecformer serve``: serve finished runs over HTTP, with a page."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.paths import CheckedPath
from pipeline.cli.streams import require_output
from pipeline.cli.verification import verify_option

TOKEN_VARIABLE = "VECFORMER_TOKEN"
_NAMED = re.compile(r"([\w.-]{1,100})=(.+)", re.DOTALL)


class NamedRun(CheckedPath):
    """A path, which can have a name: ``NAME=PATH``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name ("" for none) and the path."""
        match = _NAMED.fullmatch(value)
        if match and "\0" not in value and not Path(value).exists():
            return match[1], super().convert(match[2], param, ctx)
        return "", super().convert(value, param, ctx)


@click.command("serve")
@click.argument("runs", nargs=-1, required=True, metavar="[NAME=]RUN...", type=NamedRun(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Address to listen on. Other machines have access if it is not a loopback address; requests then "
                   "require a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N",
              help="Port; 0 for any free one.")
@click.option("--token", metavar="TOKEN", help=f"Bearer token that requests require. Default: the environment variable "
              f"{TOKEN_VARIABLE}, which other users cannot read; else a random one if --host is not a loopback "
              "address, otherwise none.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "int8", "auto"]), default="float32",
              show_default=True, help="Precision of the computation, as in predict.")
@click.option("--max-body", type=click.IntRange(1024, 2**30), default=2**20, show_default=True, metavar="BYTES",
              help="Maximum size of a request.")
@click.option("--max-texts", type=click.IntRange(1, 10_000), default=256, show_default=True, metavar="N",
              help="Maximum number of texts in a request.")
@click.option("--max-characters", type=click.IntRange(1, 10_000_000), default=20_000, show_default=True, metavar="N",
              help="Maximum length of a text or context.")
@click.option("--max-waiting", type=click.IntRange(1, 100_000), default=256, show_default=True, metavar="N",
              help="Maximum number of requests in the queue of a run; further ones are refused with status 503.")
@click.option("--answer-seconds", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, metavar="S",
              help="Maximum time to answer a request.")
@click.option("--client-seconds", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, metavar="S",
              help="Time in which a client must send its request.")
@verify_option
@verbosity
@reports_errors
def serve_command(
    runs: tuple[tuple[str, Path], ...], host: str, port: int, token: str | None, precision: str, verify: bool,
    quiet: bool, **limits: Any,
) -> None:
    """Serve each RUN over HTTP: an API described at /openapi.json, and a page to try it.

    Requests select a run by the name of its folder, or by NAME; the first RUN is the default. Ctrl-C or SIGTERM stops
    the server after the requests in progress are answered.

    \b
    vecformer serve runs/bbc
    vecformer serve first=runs/glove second=runs/word2vec --port 9000
    VECFORMER_TOKEN=long-random-text vecformer serve runs/bbc --host 0.0.0.0
    """
    from pipeline.commands.serve import load_service, named_runs, serve

    require_output()

    def announce(address: Any) -> None:
        for name, run in service.runs.items():
            echo(f"{name}: {run.trained.config.task}")
        if address.generated:
            echo(f"token: {address.token}")
        echo(f"{address.url}{f'/#token={address.token}' if address.generated else ''}")

    service = load_service(named_runs(runs), precision=precision, verify=verify, **limits)
    serve(service, host=host, port=port, token=token or os.environ.get(TOKEN_VARIABLE) or None, announce=announce)
