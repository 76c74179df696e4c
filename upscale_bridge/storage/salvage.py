"""What can still be read of a damaged sqlite file, which is kept as it is."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

_SIDES = ("", "-wal")
_BEYOND = 10_000  # rows that are tried for after the last one that could be read


def rescue(path: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table that can be read, as {column: value}; raises `OSError`.

    Reads a copy, from both ends and then row by row in between.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "damaged"
        for side in _SIDES:
            source = path.with_name(path.name + side)
            if source.exists():
                shutil.copyfile(source, f"{copy}{side}")
        with closing(sqlite3.connect(copy)) as connection:
            connection.row_factory = sqlite3.Row
            found = _read(connection, table)
    return [found[number] for number in sorted(found)]


def _read(connection: sqlite3.Connection, table: str) -> dict[int, dict[str, Any]]:
    select = f"SELECT rowid AS _number, * FROM {table}"
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA writable_schema = ON")  # else a file cut off is not read at all
    except sqlite3.Error:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for order in ("", " DESC"):
        found |= dict(_rows(connection, f"{select} ORDER BY rowid{order}"))
    numbers = sorted(found)
    last = max([0, *numbers]) + _BEYOND
    holes = [0, *numbers, last]
    one = f"{select} WHERE rowid = ?"
    for before, after in itertools.pairwise(holes):
        for number in range(before + 1, after):
            found |= dict(_rows(connection, one, number))
    return found


def _rows(
    connection: sqlite3.Connection, sql: str, *values: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield rows up to the first one that cannot be read."""
    try:
        for row in connection.execute(sql, values):
            fields = dict(row)
            if not any(map(_is_spoilt, fields.values())):
                yield fields.pop("_number"), fields
    except sqlite3.Error:
        return


def _is_spoilt(value: object) -> bool:
    """Tell whether a value cannot be what was stored: cut off, zeroed, or no text any more."""
    return value is None or (isinstance(value, str) and ("\0" in value or "\ufffd" in value))


def set_aside(path: Path) -> Path:
    """Rename a file and its side file, never onto another one; return its new path."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    new = next(name for name in names if not name.exists())
    for side in _SIDES:
        old = path.with_name(path.name + side)
        if old.exists():
            old.rename(new.with_name(new.name + side))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return new
