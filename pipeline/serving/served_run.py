"""One run that is served: its description, and the computations of each request."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from embeddings.analysis.neighbors import Neighborhood
from embeddings.special_tokens import N_SPECIAL
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import OOVPolicy
from pipeline.errors import PipelineError
from pipeline.runs.input_checks import texts_of
from pipeline.runs.trained import TrainedRun
from pipeline.serving.refusals import RefusedError, has_path, public_message

MAX_LABELS = 1000  # in the description of a run
DIGITS = 6         # of the numbers of an explanation
_PATH = re.compile(r"[^\s,:+(]*[/\\][^\s,+)]*")


class ServedRun:
    """A run with the name that requests use.

    Args:
        name: the name.
        trained: the run.
    """

    def __init__(self, name: str, trained: TrainedRun) -> None:
        self.name, self.trained = name, trained
        self.inputs = tuple(texts_of(trained.task.reader.example("<mask>", "b"), trained.task, trained.setup))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the run; () for tasks without labels."""
        found: tuple[str, ...] = getattr(self.trained.setup.resolved, "labels", ())
        return found

    @cached_property
    def is_explained(self) -> bool:
        """Whether there are explanations for the task of the run."""
        import pipeline.explanation.explain  # noqa: F401  (registers what is explained for each task)
        from pipeline.explanation.subjects.base import make_subject

        try:
            make_subject(self.trained.task, self.trained)
        except PipelineError:
            return False
        return True

    def description(self) -> dict[str, Any]:
        """Return what clients need to use the run."""
        config = self.trained.setup.config
        return {
            "name": self.name, "task": config.task, "inputs": list(self.inputs),
            "context_required": bool(self.trained.task.context_columns), "labels": list(self.labels[:MAX_LABELS]),
            "generates": self.trained.task.generates, "explains": self.is_explained,
            "max_length": config.data.max_length, "source": without_paths(self.trained.table.source),
            "layers": config.model.n_layers, "heads": config.model.n_heads,
        }

    def examples(self, texts: Sequence[Any]) -> list[Any]:
        """Make examples of the texts of a request: strings, or objects with ``text`` and ``context``.

        Raises:
            RefusedError: if a context is missing, or the run does not use one.
        """
        return [self.example(text, "", i) if isinstance(text, str) else self.example(text.text, text.context, i)
                for i, text in enumerate(texts)]

    def example(self, text: str, context: str, position: int | None = None) -> Any:
        """Make an example of one text.

        Raises:
            RefusedError: as :meth:`examples`.
        """
        where = "" if position is None else f"texts[{position}]: "
        if context and len(self.inputs) == 1:
            raise RefusedError(409, f"{where}the run reads single texts; leave out the context")
        if self.trained.task.context_columns and not context.strip():
            raise RefusedError(409, f"{where}the run answers questions about a context; add \"context\"")
        return self.trained.example(text, context)

    def explain(
        self, text: str, context: str = "", *, label: str | None = None, word: int | None = None,
        steps: int | None = None,
    ) -> dict[str, Any]:
        """Explain one prediction; see :func:`pipeline.explanation.explain.explain`.

        Raises:
            RefusedError: if there is no explanation for this input.
        """
        from pipeline.explanation.explain import explain

        if not self.is_explained:
            raise RefusedError(409, f"there are no explanations for the task {self.trained.config.task}")
        if word is not None and self.trained.config.task != "tagging":
            raise RefusedError(409, "the run predicts for whole texts; leave out \"word\"")
        self.example(text, context)
        try:
            found = explain(self.trained, text, context=context, label=label, steps=steps,
                            word=None if word is None else str(word)).to_json()
        except PipelineError as error:
            raise RefusedError(409, public_message(error)) from error
        found["vectors"] = {**found["vectors"], "source": without_paths(found["vectors"]["source"])}
        if has_path(found["neighbours_note"]):
            found["neighbours_note"] = ("the training examples of the run" if found["neighbours"] else
                                        "the training examples are not available to the server")
        return {"run": self.name, **finite(found, DIGITS)}

    def generate(
        self, prompt: str, options: Mapping[str, Any], seed: int, send: Callable[[dict[str, Any]], None],
        stop: threading.Event, seconds: float,
    ) -> None:
        """Continue a text, and send its parts as they are generated, the prompt first.

        The last message has ``done``, the complete ``text`` and its ``log_probability``, or ``error``.

        Args:
            prompt: beginning of the text.
            options: generation options; None keeps the configured value.
            seed: seed of the sampling.
            send: called with the messages.
            stop: ends the generation when it is set.
            seconds: maximum time.

        Raises:
            RefusedError: if the run is not a language model.
        """
        from pipeline.commands.generate import generate, generation_config

        if not self.trained.task.generates:
            raise RefusedError(409, "the run is not a language model; it cannot continue a text")
        config = generation_config(self.trained, options)
        parts, until = list[str](), time.monotonic() + seconds

        def on_text(part: str) -> None:
            if stop.is_set() or time.monotonic() > until:
                raise _StoppedError
            parts.append(part)
            if part:
                send({"text": part})

        try:
            written = generate(self.trained, prompt, config=config, seed=seed, on_text=on_text)[0]
        except _StoppedError:
            send({"done": True, "text": "".join(parts), "error": "the maximum time has passed"})
        else:
            send({"done": True, **finite(written._asdict())})

    def neighbours(self, word: str, n: int) -> dict[str, Any]:
        """Return the nearest words before and after training; none for a word outside the training vocabulary."""
        found: dict[str, Any] = {"run": self.name, "word": word, "known": word in self._initial.table}
        for name, space in (("before", self._initial), ("after", self._tuned)):
            nearest = space.of_words([word], n).neighbors if found["known"] else ()
            found[name] = [{"word": one.word, "similarity": round(one.similarity, DIGITS)} for one in nearest]
        return found

    @cached_property
    def _initial(self) -> Neighborhood:
        return self._space(self.trained.table.vectors[: len(self.trained.tokenizer) - N_SPECIAL])

    @cached_property
    def _tuned(self) -> Neighborhood:
        return self._space(self.trained.embedding.weight.detach().float().cpu().numpy()[N_SPECIAL:])

    def _space(self, vectors: Any) -> Neighborhood:
        words = self.trained.tokenizer.vocabulary()[N_SPECIAL:]
        return Neighborhood(EmbeddingTable.known(words, vectors, self.name), OOVPolicy(("zero",)))


class _StoppedError(Exception):
    """The generation was stopped."""


def without_paths(specification: str) -> str:
    """Replace the paths of a specification by the names of their files."""
    return _PATH.sub(lambda match: re.split(r"[/\\]", match[0])[-1], specification)


def finite(value: Any, digits: int | None = None) -> Any:
    """Replace numbers that JSON cannot represent by None, and round the others.

    Args:
        value: a JSON value.
        digits: number of decimal places; None for all.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    if isinstance(value, Mapping):
        return {key: finite(inner, digits) for key, inner in value.items()}
    return [finite(inner, digits) for inner in value] if isinstance(value, list | tuple) else value
