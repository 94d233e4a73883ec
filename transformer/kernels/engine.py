"""Engines: faster implementations of a stack's forward pass, chosen here and nowhere else.

:meth:`transformer.models.stack.Stack.forward` defines the model in plain PyTorch. An engine computes the same for the
calls that it supports, and explains why it does not support the others. The idea is that of Hugging Face ``kernels``
and thinc; ``reasons_against`` follows xFormers' ``not_supported_reasons``.

An engine is one file of this package: a class with the decorator :func:`engine`. Other packages add engines by an entry
point of the group ``vecformer.engines``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from torch import Tensor, nn

from transformer.errors import TransformerError

if TYPE_CHECKING:
    from transformer.layers.attention import Memory
    from transformer.models.outputs import Encoded, Needs
    from transformer.models.stack import Cache, Stack

AUTO, TORCH = "auto", "torch"  # the fastest engine that applies; plain PyTorch
GROUP = "vecformer.engines"


class Call(NamedTuple):
    """The arguments of a stack's forward pass that decide which engine can compute it.

    Attributes:
        ids: *Shape:* ``(batch, length)``, int64.
        memory: the encoded text that cross-attention attends to, if any.
        cache: keys and values of earlier tokens, if any.
        needs: what the caller reads of the result.
    """

    ids: Tensor
    memory: Memory | None = None
    cache: Cache | None = None
    needs: Needs = "tokens"


class Engine(Protocol):
    """A faster implementation of :meth:`Stack.forward <transformer.models.stack.Stack.forward>`.

    Attributes:
        name: the name by which the engine is forced, such as ``native``.
        priority: engines are tried from the highest priority down.
    """

    name: str
    priority: int

    def describe(self) -> str:
        """Name the implementation in use, such as ``native bfloat16 (AVX-512)``."""
        ...

    def reasons_against(self, stack: Stack, call: Call) -> list[str]:
        """List why the engine cannot compute this call; an empty list means that it can."""
        ...

    def run(self, stack: Stack, ids: Tensor, token_types: Tensor | None, needs: Needs) -> Encoded:
        """Compute the forward pass; arguments as for ``Stack.forward``."""
        ...


_ENGINES: dict[str, Engine] = {}
_FORCED: ContextVar[str] = ContextVar("engine", default=AUTO)
_FOUND: ContextVar[dict[tuple[object, nn.Module], Any] | None] = ContextVar("found", default=None)

E = TypeVar("E", bound=type)
T = TypeVar("T")
M = TypeVar("M", bound=nn.Module)


def engine(cls: E) -> E:
    """Register the class below as an engine."""
    made: Engine = cls()
    _ENGINES[made.name] = made
    return cls


@cache
def engines() -> tuple[Engine, ...]:
    """Return every engine, highest priority first: those of this package and of installed packages.

    Raises:
        TransformerError: if the engine of an installed package cannot be imported.
    """
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # anything may go wrong in foreign code
            package_name = entry.dist.name if entry.dist else "an installed package"
            raise TransformerError(f"the engine {entry.name!r} of {package_name} cannot be imported ({error}); update "
                                   f"the package, or remove it with: pip uninstall {package_name}") from error
    return tuple(sorted(_ENGINES.values(), key=lambda one: -one.priority))


def engine_for(
    stack: Stack, ids: Tensor, *, memory: Memory | None = None, cache: Cache | None = None, needs: Needs = "tokens"
) -> Engine | None:
    """Choose the engine of a call; None for plain PyTorch.

    Raises:
        TransformerError: if an engine was forced that cannot compute this call; the message gives its reasons.
    """
    forced = _FORCED.get()
    if forced == TORCH:
        return None
    call = Call(ids, memory, cache, needs)
    for candidate in engines():
        if forced in (AUTO, candidate.name):
            reasons = candidate.reasons_against(stack, call)
            if not reasons:
                return candidate
            if forced == candidate.name:
                raise TransformerError(f"training.engine={forced} cannot be used: {'; '.join(reasons)}. "
                                       "Set training.engine=auto")
    return None


@contextmanager
def use(name: str) -> Iterator[None]:
    """Force an engine inside the block: the name of an engine, ``torch`` for plain PyTorch, or ``auto``.

    The choice belongs to the context of the caller (:mod:`contextvars`): threads started inside the block do not
    inherit it.

    Raises:
        TransformerError: if there is no such engine.
    """
    require(name)
    token = _FORCED.set(name)
    try:
        yield
    finally:
        _FORCED.reset(token)


@contextmanager
def modules_fixed() -> Iterator[None]:
    """Examine modules once inside the block (:func:`once`), instead of in every call.

    Inside the block, layers, hooks and parameters are not replaced; the numbers in the parameters may change.
    """
    token = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(token)


def once(examine: Callable[[M], T], module: M) -> T:
    """Return ``examine(module)``, which is computed once in a :func:`modules_fixed` block and otherwise every time."""
    found = _FOUND.get()
    if found is None:
        return examine(module)
    key = (examine, module)
    if key not in found:
        found[key] = examine(module)
    result: T = found[key]
    return result


def require(name: str) -> None:
    """Check the name of an engine.

    Raises:
        TransformerError: if there is no such engine; the message lists those that there are.
    """
    names = [AUTO, TORCH, *(one.name for one in engines())]
    if name not in names:
        raise TransformerError(f"training.engine={name}: there is no such engine. Choose one of: {', '.join(names)}")


def explain(stack: Stack, call: Call) -> list[str]:
    """Describe the choice in lines: the engine in use, then each faster one with the reasons against it."""
    against: list[str] = []
    for candidate in engines():
        reasons = candidate.reasons_against(stack, call)
        if not reasons and _FORCED.get() in (AUTO, candidate.name):
            return [candidate.describe(), *against]
        against.append(f"not {candidate.name}: {'; '.join(reasons or [f'training.engine={_FORCED.get()}'])}")
    return ["plain PyTorch", *against]


def describe_engines(model: nn.Module) -> list[str]:
    """Describe the engine of each stack of a model, as it is chosen for training in the current precision.

    Returns:
        Lines for people, such as ``encoder: native bfloat16 (AVX-512)``.
    """
    from transformer.layers.attention import Memory
    from transformer.models.stack import Stack

    lines = []
    for stack in (module for module in model.modules() if isinstance(module, Stack)):
        weight = stack.embedding.weight
        ids = weight.new_ones(1, 1).long()
        memory = Memory(weight.new_zeros(1, 1, 1), ids.bool()[None, None]) if stack.cross_attentions() else None
        needs: Needs = "tokens" if stack.causal else getattr(getattr(model, "head", None), "needs", "tokens")
        chosen, *against = explain(stack, Call(ids, memory, needs=needs))
        lines += [f"{'decoder' if stack.causal else 'encoder'}: {chosen}", *(f"  {line}" for line in against)]
    return lines


def has_hooks(module: nn.Module) -> bool:
    """Whether the module or any submodule has a hook, so that it has to be called itself."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
                or module._backward_pre_hooks) or any(
        child is not None and has_hooks(child) for child in module._modules.values())
