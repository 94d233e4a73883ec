"""What an export format is, and the registry of all formats.

A format is a class in a file of this package, or in another distribution that names it by an entry point of the group
``vecformer.exports``::

    @export_format("hf")
    class HuggingFace:
        ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from embeddings.progress import Progress
from embeddings.specification.plugins import Registry
from embeddings.table.arguments import argument
from pipeline.errors import ExportError
from pipeline.runs.trained import TrainedRun

EXTRA_WORDS = 50_000


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        words: maximum number of words not seen in training to export: those of the dev and test examples, except for a
            page, then the first ones of the source. All other words are ``<unk>`` in the exported model, while the run
            itself may find vectors for them by its out-of-vocabulary policy. Models whose output layer is the embedding
            table are exported without extra words.
        without_ngrams: export only the Transformer of a run with an n-gram branch; its predictions differ from those of
            the run.
        int8: add a graph with int8 weights (ONNX).
        vectors: the static vectors to export: ``tuned`` (after training) or ``start`` (before it).
    """

    words: int = EXTRA_WORDS
    without_ngrams: bool = False
    int8: bool = False
    vectors: str = "tuned"


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the folder or file.
    """

    path: Path

    def lines(self) -> list[str]:
        """Describe the result for the terminal, one statement per line."""
        return [str(self.path)]


class ExportFormat(Protocol):
    """A format that does not require this project.

    Attributes:
        name: name of the format, as in ``--to``.
        description: what the format is, to complete "NAME is …".
        options: the options that it reads, names of fields of :class:`ExportOptions`.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    options: ClassVar[tuple[str, ...]]

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> Exported:
        """Write a run and compare the result with the run.

        Args:
            trained: the run, which may be changed.
            target: where to create the folder or file; it does not exist, and is complete or absent afterwards.
            options: options of the export.
            progress: progress callback.
            origin: the run folder as the user named it, for messages.

        Raises:
            ExportError: if the format cannot represent the run (the message names what it cannot represent), or the
                result differs from the run.
        """


def require_options(chosen: ExportFormat, options: ExportOptions) -> None:
    """Require that a format reads the options that were given.

    Raises:
        ExportError: if it does not read one of them.
    """
    for item in fields(options):
        if getattr(options, item.name) != item.default and item.name not in getattr(chosen, "options", ()):
            raise ExportError(f"{argument(item.name)} is not an option of {argument('to', chosen.name)}; leave it out")


T = TypeVar("T", bound=type[Any])

EXPORTS = Registry("pipeline.exports", "export format", ExportError, group="vecformer.exports")


def export_format(name: str) -> Callable[[T], T]:
    """Register a format under a name, as a decorator."""

    def registered(cls: T) -> T:
        cls.name = name
        return EXPORTS.register(name)(cls)

    return registered


def find(name: str) -> ExportFormat:
    """Return the format of a name.

    Raises:
        ExportError: if there is none; the message suggests the nearest name.
    """
    made: ExportFormat = EXPORTS.find(name)()
    return made
