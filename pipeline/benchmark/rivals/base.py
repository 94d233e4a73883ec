"""What a rival is, and the registry of all rivals.

A rival is a model of another kind, often of another library, that is trained on the training examples of a benchmark
and evaluated on the same test examples. It is a class in a file of this package, or in another distribution that names
it by an entry point of the group ``vecformer.rivals``::

    @rival("tfidf")
    @dataclass(frozen=True)
    class TfIdf:
        ...

The fields of the dataclass are its settings; they and the versions of its packages are part of the key of its results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Protocol, TypeVar

from embeddings.specification.plugins import Registry
from pipeline.errors import ConfigError

INSTALL = "pip install 'vecformer[rivals]'"
ALL = "all"

Predict = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Training:
    """What a rival is trained on.

    Attributes:
        texts: training texts; the texts of a pair are joined.
        labels: label of each.
        seed: of all random draws of the rival.
        n_threads: number of threads.
        max_gb: limit of the memory of the fit, in GB, for rivals that can estimate it.
    """

    texts: Sequence[str]
    labels: Sequence[str]
    seed: int
    n_threads: int = 1
    max_gb: float = float("inf")


class Rival(Protocol):
    """A model to compare with.

    Attributes:
        name: name of the rival, as in ``--rival``.
        description: what the model is, in a few words.
        packages: distributions that it requires.
        optional: distributions that it uses if they are installed, and has a replacement for.
        tasks: names of the tasks that it can be trained for.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    optional: ClassVar[tuple[str, ...]]
    tasks: ClassVar[tuple[str, ...]]

    def fit(self, training: Training) -> Predict:
        """Train the model.

        Returns:
            Function that predicts the label of each of the given texts.
        """
        ...


T = TypeVar("T", bound=type[Any])

RIVALS = Registry("pipeline.benchmark.rivals", "rival", ConfigError, group="vecformer.rivals")


def rival(name: str) -> Callable[[T], T]:
    """Register a rival under a name, as a decorator."""

    def registered(cls: T) -> T:
        cls.name = name
        cls.optional = getattr(cls, "optional", ())
        cls.tasks = getattr(cls, "tasks", ("classification",))
        return RIVALS.register(name)(cls)

    return registered


def find(name: str) -> Rival:
    """Return the rival of a name.

    Raises:
        ConfigError: if there is none; the message suggests the nearest name.
    """
    made: Rival = RIVALS.find(name)()
    return made


def missing_packages(one: Rival) -> list[str]:
    """Return the required distributions that are not installed."""
    return [package for package in one.packages if _version(package) is None]


def identity(one: Rival) -> dict[str, Any]:
    """Return what decides the predictions besides the data and the seed, JSON-serialisable."""
    return {"rival": one.name, "settings": asdict(one),  # type: ignore[call-overload]
            "versions": {package: _version(package) for package in (*one.packages, *one.optional)}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
