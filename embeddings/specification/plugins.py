"""Registries of classes: what the files of a package register by name, and what other packages add by entry points."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TypeVar

from embeddings.specification.suggest import did_you_mean

T = TypeVar("T", bound=type)

log = logging.getLogger("vecformer")


class Registry:
    """Classes by name; modules are imported when a name is first looked up.

    Another distribution adds a class by an entry point whose name is the class's and whose value is the module that
    registers it::

        [project.entry-points."vecformer.sources"]
        constant = "my_package.constant"

    Args:
        package: import path of the package whose modules register classes.
        kind: what the classes are, for messages: ``source``.
        error: exception raised for an unknown name.
        group: group of entry points in which other distributions add classes; by default there is none.
    """

    def __init__(self, package: str, kind: str, error: type[Exception], group: str | None = None) -> None:
        self._package, self._kind, self._error, self._group = package, kind, error, group
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class to register it under a name.

        Raises:
            Exception: the registry's own, if another class has the name.
        """
        def registered(cls: T) -> T:
            other = self._classes.get(name, cls)
            if _path(other) != _path(cls):
                raise self._error(f"the {self._kind} {name!r} exists already ({_path(other)}); rename {_path(cls)}")
            self._classes[name] = cls
            return cls

        return registered

    @cached_property
    def available(self) -> dict[str, type]:
        """All classes by name, sorted; an entry point that cannot be loaded is left out with a warning."""
        self._import_package()
        for point in self._entry_points:
            try:
                self._load(point)
            except self._error as error:
                log.warning("%s", error)
        return dict(sorted(self._classes.items()))

    def find(self, name: str) -> type:
        """Return the class of a name.

        Raises:
            Exception: the registry's own, if there is none (the message lists the names), or if the distribution that
                adds it is broken.
        """
        module = f"{self._package}.{name.replace('-', '_')}"
        if name.replace("-", "").isidentifier() and find_spec(module):
            importlib.import_module(module)
        if name not in self._classes:
            self._import_package()
        if name not in self._classes:
            for point in self._entry_points:
                if point.name == name:
                    self._load(point)
        if name not in self._classes:
            raise self._error(f"no {self._kind} is called {name!r}.{did_you_mean(name, self.available)} "
                              f"There are: {', '.join(self.available)}")
        return self._classes[name]

    def _import_package(self) -> None:
        for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__):
            importlib.import_module(f"{self._package}.{module.name}")

    @cached_property
    def _entry_points(self) -> tuple[EntryPoint, ...]:
        return tuple(entry_points(group=self._group)) if self._group else ()

    def _load(self, point: EntryPoint) -> None:
        """Import the module of an entry point, which must register its name."""
        try:
            point.load()
            if point.name not in self._classes:
                raise ImportError(f"{point.value} registers no {self._kind} of that name")
        except Exception as error:  # any exception: the code is not ours
            raise self._error(f"the {self._kind} {point.name!r} of {_distribution(point)} cannot be loaded "
                              f"({type(error).__name__}: {error}); update or uninstall that package") from error


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _distribution(point: EntryPoint) -> str:
    try:
        assert point.dist is not None
        return f"{point.dist.name} {point.dist.version}"
    except Exception:  # broken metadata
        return point.value
