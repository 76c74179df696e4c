"""Pickles of weights read as plain data: nothing that a file names is imported, called or set.

A pickle is a program for a small machine, and what it may call decides what it can do. This
machine calls nothing. Containers and numbers become Python's own, tensors become a `Sketch`, and
objects of training scripts become a `Thing` that nobody looks at. Names that are not on a list of
harmless ones refuse the file all the same: it was made to run something.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .pickle_names import HARMLESS, STORAGES

MOST_BYTES = 4 << 20
"""Of one pickle. That of 5000 tensors has about half a megabyte."""

MOST_STEPS = 500_000
"""Of one pickle. Each tensor takes about 40; each step takes up to 100 bytes of memory."""


class ForbiddenNameError(ValueError):
    """The pickle names something that no weights file needs."""


@dataclass(frozen=True)
class Thing:
    """A name, or an object made by it; `str()` is the name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class Storage:
    """A run of numbers of one kind in the file."""

    key: str
    kind: str
    """Torch's name of a number format, for example float32; `untyped` are bytes."""
    count: int


@dataclass(frozen=True)
class Sketch:
    """A tensor as the file describes it; nothing is checked yet."""

    storage: Storage
    kind: str
    offset: Any
    shape: Any
    stride: Any


@dataclass(frozen=True)
class Contents:
    """What a pickle holds."""

    value: Any
    storages: dict[str, Storage]
    """All that it refers to, by their keys."""
    size: int
    """Bytes that it takes; others may follow."""


def read_pickle(data: bytes) -> Contents:
    """Read the pickle at the beginning of `data`.

    Raises `ValueError` for damage and `ForbiddenNameError`.
    """
    machine = _Machine(io.BytesIO(data[:MOST_BYTES]))
    try:
        value = machine.run()
    except (LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise ValueError("its pickle makes no sense") from error
    return Contents(value, machine.storages, machine.file.tell())


class _Machine:
    """The stack, the memo and what each instruction does to them (Python's pickletools)."""

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # stacks under the marks
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MOST_STEPS):
            code = _CODES.get(self.file.read(1).decode("latin-1"))
            if code is None:
                raise ValueError("its pickle is cut off or damaged")
            if code.name == "STOP":
                return self._stack.pop()
            if code.name not in _VALUES and code.name not in _STEPS:
                raise ValueError(f"its pickle has the instruction {code.name}")
            value = code.arg.reader(self.file) if code.arg else None
            if code.name in _VALUES:
                self._stack.append(_VALUES[code.name](value))
            else:
                _STEPS[code.name](self, value)
        raise ValueError(f"its pickle has more than {MOST_STEPS} instructions")

    def since_mark(self) -> list[Any]:
        values, self._stack = self._stack, self._below.pop()
        return values

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.since_mark()

    def drop_since_mark(self, _: Any) -> None:
        self.since_mark()

    def duplicate(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def store(self, key: int | None) -> None:
        self._memo[len(self._memo) if key is None else key] = self._stack[-1]

    def recall(self, key: int) -> None:
        self._stack.append(self._memo[key])

    def tuple_of(self, count: int) -> None:
        values = self._stack[-count:]
        if len(values) < count:
            raise ValueError("its pickle is damaged")
        self._stack[-count:] = [tuple(values)]

    def tuple_since_mark(self, _: Any) -> None:
        values = tuple(self.since_mark())
        self._stack.append(values)

    def list_since_mark(self, _: Any) -> None:
        values = self.since_mark()
        self._stack.append(values)

    def dict_since_mark(self, _: Any) -> None:
        values = self.since_mark()
        self._stack.append({})
        self._fill(values)

    def append(self, _: Any) -> None:
        value = self._stack.pop()
        self._extend([value])

    def appends(self, _: Any) -> None:
        self._extend(self.since_mark())

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill([key, value])

    def set_items(self, _: Any) -> None:
        self._fill(self.since_mark())

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)

    def _fill(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                # Weights have names. Other keys are not even hashed: tuples of tuples of tuples
                # take for ever.
                if isinstance(key, str):
                    target[key] = value

    def name(self, text: str) -> None:
        self._stack.append(_thing(*text.split(" ", 1)))

    def name_from_stack(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(_thing(str(module), str(name)))

    def make(self, _: Any) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        self._stack.append(_make(maker, arguments))

    def make_with_names(self, _: Any) -> None:
        self._stack.pop()
        self.make(None)

    def set_state(self, _: Any) -> None:
        self._stack.pop()  # what an object would be told about itself

    def find_storage(self, _: Any) -> None:
        storage = _storage(self._stack.pop())
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError("its pickle describes the same numbers in two ways")
        self._stack.append(storage)


_CODES = {code.code: code for code in pickletools.opcodes}


def _same(value: Any) -> Any:
    return value


_VALUES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: [],
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"), _same),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), _same),
    **dict.fromkeys(("BINSTRING", "SHORT_BINSTRING"), _same),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _same),
}

_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.drop_since_mark,
    "DUP": _Machine.duplicate,
    "BINPUT": _Machine.store,
    "LONG_BINPUT": _Machine.store,
    "MEMOIZE": _Machine.store,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "TUPLE": _Machine.tuple_since_mark,
    "FROZENSET": _Machine.tuple_since_mark,
    "LIST": _Machine.list_since_mark,
    "DICT": _Machine.dict_since_mark,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_from_stack,
    "REDUCE": _Machine.make,
    "NEWOBJ": _Machine.make,
    "NEWOBJ_EX": _Machine.make_with_names,
    "BUILD": _Machine.set_state,
    "BINPERSID": _Machine.find_storage,
}


def _thing(module: str, name: str) -> Thing:
    if name not in HARMLESS.get(module, ()):
        shown = f"{module}.{name}"[:100]
        raise ForbiddenNameError("".join(one if one.isprintable() else "?" for one in shown))
    return Thing(module, name)


def _make(maker: Any, arguments: Any) -> Any:
    """Return what a call of a harmless name stands for."""
    if not isinstance(maker, Thing) or not isinstance(arguments, tuple):
        raise ValueError("its pickle calls what is no name")
    if maker.name in ("OrderedDict", "defaultdict", "dict", "AttributeDict", "EasyDict"):
        pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
        return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}
    if maker.name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        storage, offset, shape, stride = arguments[:4]
        return Sketch(_checked(storage), storage.kind, offset, shape, stride)
    if maker.name == "_rebuild_tensor_v3":
        storage, offset, shape, stride, _, _, kind = arguments[:7]
        return Sketch(_checked(storage), kind.name, offset, shape, stride)
    if maker.name in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
        return arguments[0]
    return maker


def _checked(storage: Any) -> Storage:
    if not isinstance(storage, Storage):
        raise ValueError("its pickle makes a tensor of what is no storage")
    return storage


def _storage(pid: Any) -> Storage:
    """Read torch's ("storage", type, key, device, count), in older files with a view behind."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or any(pid[5:]):
        raise ValueError("its pickle refers to what is no storage")
    _, kind, key, _, count = pid[:5]
    if not isinstance(kind, Thing) or kind.name not in STORAGES or type(count) is not int:
        raise ValueError("its numbers are of a kind that weights do not have")
    return Storage(str(key), STORAGES[kind.name], count)
