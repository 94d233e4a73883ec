"""Classes found by name, so that a new one is one new file and nothing else has to know of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from typing import TypeVar

from embeddings.specification.suggest import did_you_mean

T = TypeVar("T", bound=type)


class Registry:
    """The classes that the files of a folder register under a name.

    Args:
        package: the name of the folder whose files are looked through, each imported once, when a name is first asked
            for.
        kind: what they are, for messages: ``source``.
        error: raised for a name that is not there.
    """

    def __init__(self, package: str, kind: str, error: type[Exception]) -> None:
        self._package, self._kind, self._error = package, kind, error
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Register the class below under a name."""

        def registered(cls: T) -> T:
            self._classes[name] = cls
            return cls

        return registered

    @cached_property
    def available(self) -> dict[str, type]:
        """Every class by its name, sorted."""
        for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        return dict(sorted(self._classes.items()))

    def find(self, name: str) -> type:
        """The class of a name: of the file that is called so, or else of any.

        Raises:
            Exception: the registry's own, if there is none; the message gives the nearest and all that there are.
        """
        own = f"{self._package}.{name.replace('-', '_')}"
        if name.replace("-", "").isidentifier() and find_spec(own):
            importlib.import_module(own)
        if name in self._classes:
            return self._classes[name]
        if name not in self.available:
            raise self._error(f"no {self._kind} is called {name!r}.{did_you_mean(name, self.available)} "
                              f"There are: {', '.join(self.available)}")
        return self.available[name]
