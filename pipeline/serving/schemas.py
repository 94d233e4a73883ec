"""The requests and answers of the API; OpenAPI is generated from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from pipeline.serving.limits import Limits

MAX_NEIGHBOURS = 50
MAX_STEPS = 512


def whole(value: Any) -> Any:
    """Return a number such as 1.0, which JSON Schema counts as an integer, as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def integer(low: int, high: int) -> Any:
    """Return the type of an integer within bounds, both included."""
    return Annotated[int, Field(ge=low, le=high), BeforeValidator(whole)]


class Request(BaseModel):
    """A request; unknown keys and values of other types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Error(BaseModel):
    """What is wrong, and what to do."""

    error: str


class Health(BaseModel):
    """Whether the server answers."""

    status: Literal["ok"]


class RunDescription(BaseModel):
    """A run that is served."""

    name: str = Field(description="name of the run in requests")
    task: str = Field(description="task of the run")
    inputs: list[str] = Field(description="names of the text and, for tasks on pairs, of the context")
    context_required: bool = Field(description="whether every text needs a context")
    labels: list[str] = Field(description="labels, for tasks with labels")
    generates: bool = Field(description="whether POST /generate continues texts")
    explains: bool = Field(description="whether POST /explain supports the run")
    max_length: int = Field(description="maximum number of tokens; longer texts are truncated or divided into windows")
    source: str = Field(description="specification of the word vectors, without paths")
    layers: int = Field(description="number of layers")
    heads: int = Field(description="number of heads of a layer")


class Runs(BaseModel):
    """The runs that are served, the default one first, and the limits of requests."""

    runs: list[RunDescription]
    limits: dict[str, float]


class Predictions(BaseModel):
    """One prediction for each text, in the format of ``vecformer predict --json``."""

    run: str
    task: str
    predictions: list[dict[str, Any]] = Field(
        description="for classification label and probabilities; the keys of each task are described on its page")


class Neighbour(BaseModel):
    """A word and its cosine similarity."""

    word: str
    similarity: float


class Neighbours(BaseModel):
    """The nearest neighbours of a word among the words of the training text."""

    run: str
    word: str
    known: bool = Field(description="whether the word is in the training text; without it there are no neighbours")
    before: list[Neighbour] = Field(description="with the initial vectors")
    after: list[Neighbour] = Field(description="with the vectors after training")


class Models(NamedTuple):
    """The models of the requests, with the names of the runs and the limits of the server."""

    predict: type[Any]
    explain: type[Any]
    generate: type[Any]
    neighbours: type[Any]


def request_models(names: Sequence[str], limits: Limits) -> Models:
    """Build the models of the requests.

    Args:
        names: names of the runs; the first one is the default.
        limits: limits of texts.
    """
    text = Annotated[str, StringConstraints(max_length=limits.max_characters)]
    run: Any = (Literal[tuple(names)], Field(default=names[0], description="name of the run"))
    context = (text, Field(default="", description="context of a question, or second text of a pair"))

    pair: Any = create_model("TextWithContext", __base__=Request, text=(text, ...), context=context)
    texts = Annotated[list[text | pair], Field(
        min_length=1, max_length=limits.max_texts, description="texts, or objects with text and context")]
    predict = create_model("PredictRequest", __base__=Request, run=run, texts=(texts, ...))
    explain = create_model(
        "ExplainRequest", __base__=Request, run=run, text=(text, ...), context=context,
        label=(str | None, Field(default=None, max_length=1000, description="label to explain; default: the predicted "
                                                                            "one")),
        word=(integer(0, 100_000) | None, Field(default=None, description="for tagging: index of the word "
                             "whose tag is explained; default: the first one with a tag other than O")),
        steps=(integer(1, MAX_STEPS) | None, Field(default=None, description="number of steps of the integral")))
    generate = create_model(
        "GenerateRequest", __base__=Request, run=run,
        prompt=(text, Field(default="", description="beginning of the text; empty for a new line")),
        max_tokens=(integer(1, limits.max_tokens) | None, Field(
            default=None, description="maximum number of generated tokens")),
        temperature=(float | None, Field(default=None, ge=0, le=100, description="0 is greedy decoding")),
        top_k=(integer(0, 2**31 - 1) | None, Field(default=None, description="0 for all tokens")),
        top_p=(float | None, Field(default=None, gt=0, le=1, description="total probability of the tokens")),
        seed=(integer(0, 2**32 - 1), Field(default=1, description="seed of the sampling")))
    neighbours = create_model(
        "NeighboursRequest", __base__=Request, run=run,
        word=(str, Field(min_length=1, max_length=200)),
        n=(integer(1, MAX_NEIGHBOURS), Field(default=8, description="number of neighbours")))
    return Models(predict, explain, generate, neighbours)
