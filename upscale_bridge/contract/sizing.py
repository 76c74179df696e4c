"""Which parameters of a remote operation give a result of a wanted size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..params import Param, Value
from .operation import RemoteOperation


def reaching(
    kind: type[RemoteOperation], width: int, height: int, factor: float, **values: Any
) -> RemoteOperation:
    """Return the operation that makes an image at least `factor` times as large, or nearly so.

    Among a service's sizes the smallest that suffices is taken, the largest when none does;
    `values` are the other parameters. Raises `InvalidInputError`.
    """
    item = next(item for item in kind.params() if item.name == kind.size_parameter)
    wanted = int(max(width, height) * factor)
    for value in _values(item, factor):
        operation = kind(**{item.name: value, **values})
        most = operation.limits.edge
        taken = most is None or max(width, height) <= most
        if taken and max(operation.target(width, height)) >= wanted:
            break
    return operation


def _values(item: Param, factor: float) -> Iterator[Value]:
    if item.choices:
        yield from item.choices
        return
    least = item.minimum if item.above is None else item.above + (item.step or 0.0)
    yield min(max(factor, least or 0.0), item.maximum or factor)
