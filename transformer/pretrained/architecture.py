"""What an architecture of ``transformers`` declares, and the registry of those that can be read.

An architecture is one file of :mod:`transformer.pretrained.architectures`: a class with the decorator
:func:`architecture`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from transformer.config import LIKE, ModelConfig
from transformer.errors import CheckpointError
from transformer.export.names import module_of, renamed
from transformer.pretrained import architectures
from transformer.pretrained.part import Part

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu"}
"""Activations in ``config.json``, and ours."""
SIZES = ("d_model", "d_embedding", "n_layers", "n_heads", "d_ff", "max_positions", "token_types")

Names = Mapping[str, str]
Values = Mapping[str, Any]


class Architecture:
    """Shape, names and layouts of an architecture.

    Attributes:
        name: ``model_type`` in ``config.json``.
        like: the value of ``model.like`` with the same arithmetic.
        is_decoder: a token cannot attend to later tokens.
        prefix: before the names of the model's weights if the checkpoint contains a head as well.
        keys: options of :class:`ModelConfig`, and their keys in ``config.json``.
        activation: key of the activation.
        defaults: values of keys that ``config.json`` may lack.
        required: values of keys without which the arithmetic is another one; a missing key has this value.
        modules: modules of the stack, and their names; ``*`` is the layer index.
        heads: modules of the heads, and their names.
        output: weight of the output layer over the vocabulary, under our name.
        aliases: other names of weights of the heads, and the usual ones; a weight under its other name is preferred.
    """

    name: ClassVar[str]
    like: ClassVar[str]
    is_decoder: ClassVar[bool] = False
    prefix: ClassVar[str]
    keys: ClassVar[Names]
    activation: ClassVar[str] = "hidden_act"
    defaults: ClassVar[Values] = {}
    required: ClassVar[Values] = {}
    modules: ClassVar[Names]
    heads: ClassVar[Names]
    output: ClassVar[str]
    aliases: ClassVar[Names] = {}

    def shape(self, given: Values) -> ModelConfig:
        """Return the shape of a stack.

        Args:
            given: contents of ``config.json``.

        Raises:
            CheckpointError: if an option is missing, invalid or not supported.
        """
        given = {"tie_word_embeddings": True, **self.defaults, **given}
        self._check(given)
        activation = ACTIVATIONS[given[self.activation]]
        try:
            options = {**LIKE[self.like], "positions": "learned", "activation": activation,
                       "tied": given["tie_word_embeddings"], **{ours: given[key] for ours, key in self.keys.items()},
                       **self.options(given)}
            is_like = all(options[key] == value for key, value in LIKE[self.like].items() if key != "norm_eps")
            return ModelConfig(**options, like=self.like if is_like else "")
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"not a valid configuration ({error}); download the file again") from error

    def _check(self, given: Values) -> None:
        for key, value in self.required.items():
            if given.get(key, value) != value:
                raise CheckpointError(f"{key}={given[key]!r} is not supported, only {value!r}; use another checkpoint")
        if str(given.get(self.activation)) not in ACTIVATIONS:
            raise CheckpointError(f"{self.activation}={given.get(self.activation)!r} is not supported, only "
                                  f"{', '.join(ACTIVATIONS)}; use another checkpoint")
        if missing := [key for key in (*self.keys.values(), "vocab_size") if key not in given]:
            raise CheckpointError(f"the key {missing[0]!r} is missing; download the file again")
        for key in (*(self.keys[ours] for ours in SIZES if ours in self.keys), "vocab_size"):
            if type(given[key]) is not int or given[key] < 0:
                raise CheckpointError(f"{key}={given[key]!r} is not a number of this kind; download the file again")
        padding = given.get("pad_token_id")
        if not (self.is_decoder or padding is None or (type(padding) is int and 0 <= padding < given["vocab_size"])):
            raise CheckpointError(f"pad_token_id={padding!r} is not a row of the embedding table (vocab_size="
                                  f"{given['vocab_size']}); download the file again")

    def options(self, given: Values) -> dict[str, Any]:
        """Return options of :class:`ModelConfig` that are not simply the value of a key."""
        return {}

    def takes(self, name: str, shape: ModelConfig) -> bool:
        """Whether this architecture has a weight of our heads, with the same arithmetic."""
        return module_of(name) in self.heads

    def part(self, name: str, given: Values) -> Part:
        """Return where a weight of the stack is, without the prefix of the model.

        Args:
            name: our name.
            given: contents of ``config.json``.
        """
        return Part(renamed(name, self.modules))

    def head_part(self, name: str, shape: ModelConfig) -> Part:
        """Return where a weight of a head is, without the prefix of the model.

        Args:
            name: our name.
            shape: the shape of the stack.
        """
        is_scaled = name.startswith("norm.") and shape.tied and not shape.like  # LMHead divides such scores by it
        return Part(renamed(name, self.heads), factor=shape.d_model**0.5 if is_scaled else 1.0)


_ARCHITECTURES: dict[str, Architecture] = {}

A = TypeVar("A", bound=type[Architecture])


def architecture(cls: A) -> A:
    """Register the class below as an architecture."""
    _ARCHITECTURES[cls.name] = cls()
    return cls


@cache
def known_architectures() -> Mapping[str, Architecture]:
    """Return every architecture by its name, in alphabetical order."""
    for module in pkgutil.iter_modules(architectures.__path__):
        importlib.import_module(f"{architectures.__name__}.{module.name}")
    return dict(sorted(_ARCHITECTURES.items()))
