"""Pickles read as data: the opcodes are interpreted, and nothing that they name is imported, made or called.

Format: the module ``pickletools`` of Python's standard library, protocols 2 to 5. A class or function stays a name, a
call stays a record of what would have been called.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
FLOAT_TYPES = ("f2", "f4", "f8")


class GlobalName(NamedTuple):
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass(eq=False)
class CallRecord:
    """What a pickle would make by calling something.

    Attributes:
        what: what would be called, mostly a :class:`GlobalName`.
        arguments: what it would be called with.
        state: what its attributes would be set from.
    """

    what: Any
    arguments: Any
    state: Any = None
    items: list[Any] = field(default_factory=list)


class UnreadablePickleError(ValueError):
    """A pickle that is broken, or uses what data do not need."""


def parse_pickle(content: bytes | Any) -> Any:
    """Parse a pickle into dicts, lists, tuples, strings, numbers, :class:`GlobalName` and :class:`CallRecord`.

    Sets become lists.

    Args:
        content: bytes, or a file opened for reading in binary.

    Raises:
        UnreadablePickleError: if it is broken, or refers to things outside itself.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.do(opcode.name, argument)
    except UnreadablePickleError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise UnreadablePickleError(f"broken pickle: {error}") from error
    raise UnreadablePickleError("broken pickle: no end")


class _Machine:
    """The stack and the memo that opcodes work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Carry out one opcode."""
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _MEMO_PUTS:
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in _MEMO_GETS:
            self.stack.append(self.memo[argument])
        elif name in _STEPS:
            _STEPS[name](self)
        elif name == "GLOBAL":
            self.stack.append(GlobalName(*argument.split(" ", 1)))
        elif name not in ("PROTO", "FRAME"):
            raise UnreadablePickleError(f"the pickle uses {name}, which plain data do not need")

    def since_mark(self) -> list[Any]:
        """Take off what was pushed since the last mark."""
        place = self.marks.pop()
        taken = self.stack[place:]
        del self.stack[place:]
        return taken

    def tuple_of(self, n: int) -> None:
        """Put the last ``n`` into a tuple."""
        taken = tuple(self.stack[-n:])
        del self.stack[-n:]
        self.stack.append(taken)

    def extend(self, values: list[Any]) -> None:
        """Add to the list, or the thing like one, on top."""
        target = self.stack[-1]
        (target.items if isinstance(target, CallRecord) else target).extend(values)

    def set_items(self, flat: list[Any]) -> None:
        """Add keys and values to the dict, or the thing like one, on top."""
        target, pairs = self.stack[-1], zip(flat[::2], flat[1::2], strict=True)
        if isinstance(target, CallRecord):
            target.items.extend(pairs)
        else:
            target.update(pairs)

    def call(self) -> None:
        """Note a call: of what, and with what."""
        arguments, what = self.stack.pop(), self.stack.pop()
        self.stack.append(CallRecord(what, arguments))

    def call_with_keywords(self) -> None:
        """Note a call with keywords."""
        keywords, arguments, what = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(CallRecord(what, (arguments, keywords)))

    def build(self) -> None:
        """Note a state for what is on top."""
        state = self.stack.pop()
        self.stack[-1].state = state

    def name(self) -> None:
        """Note a class or function."""
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(GlobalName(str(module), str(name)))

    def pop_last(self) -> list[Any]:
        """Take off one, as a list."""
        return [self.stack.pop()]

    def pop_two(self) -> list[Any]:
        """Take off two, in order."""
        value, key = self.stack.pop(), self.stack.pop()
        return [key, value]


_VALUES = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
})
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list, "EMPTY_TUPLE": tuple,
}
_MEMO_PUTS = frozenset({"BINPUT", "LONG_BINPUT", "MEMOIZE"})
_MEMO_GETS = frozenset({"BINGET", "LONG_BINGET"})
_STEPS: dict[str, Callable[[_Machine], Any]] = {
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "POP": lambda machine: machine.stack.pop(),
    "POP_MARK": _Machine.since_mark,
    "DUP": lambda machine: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.since_mark())),
    "FROZENSET": lambda machine: machine.stack.append(machine.since_mark()),
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "APPEND": lambda machine: machine.extend(machine.pop_last()),
    "APPENDS": lambda machine: machine.extend(machine.since_mark()),
    "ADDITEMS": lambda machine: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine: machine.set_items(machine.pop_two()),
    "SETITEMS": lambda machine: machine.set_items(machine.since_mark()),
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "BUILD": _Machine.build,
    "STACK_GLOBAL": _Machine.name,
}


def as_array(value: Any) -> NDArray[Any] | None:
    """The numpy array of floats that a record stands for; None if it stands for anything else."""
    if not (isinstance(value, CallRecord) and isinstance(value.what, GlobalName)
            and value.what.module in NUMPY_MODULES):
        return None
    try:
        if value.what.name == "_reconstruct":
            _version, shape, kind, in_columns, content = value.state
        elif value.what.name == "_frombuffer":
            content, kind, shape, order = value.arguments
            in_columns = order == "F"
        else:
            return None
        raw, dtype = _as_bytes(content), _as_dtype(kind)
        if raw is None or dtype is None or math.prod(shape) * dtype.itemsize != len(raw):
            return None
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if in_columns else "C")
    except (TypeError, ValueError):
        return None


def _as_bytes(value: Any) -> bytes | bytearray | None:
    if isinstance(value, CallRecord) and value.what == GlobalName("_codecs", "encode"):  # bytes in protocol 2
        text, codec = value.arguments
        return str(text).encode("latin-1") if codec == "latin1" else None
    if isinstance(value, str):  # bytes of Python 2
        return value.encode("latin-1")
    return value if isinstance(value, bytes | bytearray) else None


def _as_dtype(value: Any) -> np.dtype[Any] | None:
    if not (isinstance(value, CallRecord) and value.what == GlobalName("numpy", "dtype")
            and value.arguments[0] in FLOAT_TYPES):
        return None
    order = value.state[1] if value.state else "="
    dtype: np.dtype[Any] = np.dtype(value.arguments[0]).newbyteorder(order)
    return dtype
