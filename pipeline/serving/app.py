"""The application: the routes of the API, and the page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from pipeline.errors import PipelineError
from pipeline.serving import page
from pipeline.serving.guard import App, Guard
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import CONTENT_TYPE, Metrics
from pipeline.serving.refusals import INTERNAL, RefusedError, public_message
from pipeline.serving.schemas import Error, Health, Neighbours, Predictions, Runs, request_models
from pipeline.serving.served_run import ServedRun, finite
from pipeline.serving.worker import Worker

NDJSON = "application/x-ndjson"
DESCRIPTION = """Predictions, explanations and generated text of finished runs.

Every error is an object with `error`, one sentence. 503 has the header `Retry-After`: the queue is full, or the answer
took too long. Numbers that JSON cannot represent, such as infinity, are `null`."""
ERRORS = {
    400: "The request is not HTTP or not JSON.", 401: "The token is missing or wrong.",
    403: "The request comes from a page of another site.",
    408: "The request was sent too slowly.", 409: "The run cannot process this input.",
    413: "The body is too large.", 415: "The body is not JSON.", 421: "The header Host contains another name.",
    422: "The JSON has missing, unknown or invalid values.",
    503: "The server is busy; try again after the time in Retry-After.",
}


class Service:
    """The runs that are served, each with its worker.

    Args:
        runs: the runs by name; the first one is the default.
        limits: limits of requests.
    """

    def __init__(self, runs: Mapping[str, ServedRun], limits: Limits) -> None:
        self.limits, self.metrics = limits, Metrics()
        self.runs = dict(runs)
        self.workers = {name: Worker(name, run.trained, limits, self.metrics) for name, run in runs.items()}

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers.values():
            worker.start()

    def stop(self) -> None:
        """End the workers."""
        for worker in self.workers.values():
            worker.stop()

    async def result(self, future: Future[Any]) -> Any:
        """Wait for a result, at most for the time of an answer.

        Raises:
            RefusedError: if it takes longer.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.answer_seconds)
        except TimeoutError:
            message = f"there was no answer within {self.limits.answer_seconds:g} s"
            raise RefusedError(503, message, retry_after=5) from None


def application(service: Service, *, hosts: Collection[str] | None = None, token: str | None = None) -> App:
    """Build the application.

    Args:
        service: the runs.
        hosts: names that the header ``Host`` may have; None for any.
        token: the bearer token that requests require; None for none.
    """
    app = FastAPI(title="vecformer", version=page.version(), description=DESCRIPTION, docs_url=None, redoc_url=None,
                  swagger_ui_oauth2_redirect_url=None, redirect_slashes=False, separate_input_output_schemas=False)
    _add_errors(app)
    _add_information(app, service)
    _add_computations(app, service)
    page.add(app)
    if token is not None:
        _describe_token(app)
    routes = [route for route in app.routes if isinstance(route, Route)]
    return Guard(
        app, paths=[route.path for route in routes], open_paths=[*page.FILES, "/health"],
        posted=[route.path for route in routes if "POST" in (route.methods or ())],
        limits=service.limits, metrics=service.metrics, hosts=hosts, token=token)


def _add_errors(app: FastAPI) -> None:
    """Make every error an object with one sentence."""

    @app.exception_handler(HTTPException)
    async def of_http(_request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def of_validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return JSONResponse({"error": "the body is not valid JSON"}, 400)
        where = ".".join(str(part) for part in first["loc"][1:])[:200]
        return JSONResponse({"error": f"{where}{': ' if where else ''}{first['msg'][:300]}"}, 422)

    @app.exception_handler(RefusedError)
    async def of_refusal(_request: Request, error: RefusedError) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status, error.headers)

    @app.exception_handler(PipelineError)
    async def of_pipeline(_request: Request, error: PipelineError) -> JSONResponse:
        return JSONResponse({"error": public_message(error)}, 409)

    @app.exception_handler(Exception)
    async def of_bug(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": INTERNAL}, 500)


def _add_information(app: FastAPI, service: Service) -> None:
    errors = _responses(401, 403, 408, 413, 421)

    @app.get("/health", response_model=Health, responses=errors | _responses(503), summary="Whether the server answers")
    async def health() -> Response:
        if not all(worker.is_alive for worker in service.workers.values()):
            raise RefusedError(503, "a run has stopped answering", retry_after=30)
        return JSONResponse({"status": "ok"})

    @app.get("/runs", response_model=Runs, responses=errors, summary="The runs that are served")
    async def runs() -> Response:
        limits = service.limits
        return JSONResponse({"runs": [run.description() for run in service.runs.values()], "limits": {
            "max_body": limits.max_body, "max_texts": limits.max_texts, "max_characters": limits.max_characters,
            "max_tokens": limits.max_tokens}})

    @app.get("/metrics", response_class=Response, summary="Metrics in the format of Prometheus",
             responses=errors | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
    async def metrics() -> Response:
        return Response(service.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})


def _add_computations(app: FastAPI, service: Service) -> None:
    models = request_models(tuple(service.runs), service.limits)
    errors = _responses(400, 401, 403, 408, 409, 413, 415, 421, 422, 503)

    def route(path: str, summary: str, **more: Any) -> Callable[[Callable[..., Any]], Any]:
        return app.post(path, summary=summary, **{"responses": errors, **more})

    async def predict(request: Any) -> Response:
        run = service.runs[request.run]
        predictions = await service.result(service.workers[run.name].predict(run.examples(request.texts)))
        return JSONResponse({"run": run.name, "task": run.trained.config.task, "predictions": finite(predictions)})

    async def explain(request: Any) -> Response:
        run = service.runs[request.run]

        def compute() -> bytes:  # explanations are large
            return json.dumps(run.explain(request.text, request.context, label=request.label, word=request.word,
                                          steps=request.steps)).encode()

        return Response(await service.result(service.workers[run.name].submit(compute)), media_type="application/json")

    async def neighbours(request: Any) -> Response:
        run = service.runs[request.run]
        return JSONResponse(await service.result(
            service.workers[run.name].submit(lambda: run.neighbours(request.word, request.n))))

    async def generate(request: Any) -> Response:
        messages = await _started(service, service.runs[request.run], request)
        return StreamingResponse(messages, media_type=NDJSON)

    for function, model in ((predict, models.predict), (explain, models.explain), (neighbours, models.neighbours),
                            (generate, models.generate)):
        function.__annotations__["request"] = model
    route("/predict", "Predict for texts", response_model=Predictions)(predict)
    route("/explain", "Explain one prediction", response_model=dict[str, Any])(explain)
    route("/neighbours", "Nearest neighbours of a word before and after training",
          response_model=Neighbours)(neighbours)
    route("/generate", "Continue a text, word by word", response_class=StreamingResponse,
          responses=errors | {200: {"description": "One JSON object per line: the next part of the text; the last "
                                                   "one has done and the complete text.",
                                    "content": {NDJSON: {"schema": {"type": "string"}}}}})(generate)


async def _started(service: Service, run: ServedRun, request: Any) -> AsyncIterator[bytes]:
    """Start to generate, and return the messages as lines when there is a first one.

    Raises:
        RefusedError: if the run cannot continue the text, or the queue is full.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()
    messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # bounded by max_tokens

    def send(message: dict[str, Any]) -> None:
        service.metrics.parts.labels(run.name).inc()
        loop.call_soon_threadsafe(messages.put_nowait, message)

    options = request.model_dump(include={"max_tokens", "temperature", "top_k", "top_p"})
    options["max_tokens"] = min(options["max_tokens"] or run.trained.config.generation.max_tokens,
                                service.limits.max_tokens)
    future = service.workers[run.name].submit(lambda: run.generate(
        request.prompt, options, request.seed, send, stop, service.limits.answer_seconds))
    future.add_done_callback(lambda _future: loop.call_soon_threadsafe(messages.put_nowait, None))
    try:
        async with asyncio.timeout(service.limits.answer_seconds):
            first = await messages.get()
    except BaseException as error:
        stop.set()
        future.cancel()
        if isinstance(error, TimeoutError):
            raise RefusedError(503, "the generation did not begin in time", retry_after=5) from None
        raise
    if first is None:
        future.result()  # raises its error

    async def lines() -> AsyncIterator[bytes]:
        message = first
        try:
            while message is not None:
                yield json.dumps(message).encode() + b"\n"
                message = await messages.get()
            if not future.cancelled() and future.exception() is not None:
                yield json.dumps({"done": True, "error": "the generation failed"}).encode() + b"\n"
        finally:
            stop.set()

    return lines()


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Error, "description": ERRORS[status]} for status in statuses}


def _describe_token(app: FastAPI) -> None:
    """Add the bearer token to the OpenAPI description."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        description = plain()
        description["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in description["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path == "/health" else [{"token": []}]
        return description

    app.openapi = described  # type: ignore[method-assign]
