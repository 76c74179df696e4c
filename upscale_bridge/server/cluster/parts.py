"""Where the parts of a cluster are, and its files."""

from __future__ import annotations

from dataclasses import dataclass

from ..files import Files
from ..ledger import INDEXES, MIGRATIONS, Ledger, LedgerEntry
from .database import Store, StoreTable
from .places import place_at
from .presence import LEASE_SECONDS


@dataclass(frozen=True)
class Addresses:
    """Where a cluster's parts are, and how long its workers may be silent."""

    broker: str
    store: str
    files: str
    lease: float = LEASE_SECONDS
    """Seconds."""


def files_of(store: Store, place: str, most_bytes: int, patience: float = 0.0) -> Files:
    """Return the files of a cluster; raises `SettingsError`."""
    table: StoreTable[LedgerEntry] = StoreTable(store, "files", LedgerEntry, MIGRATIONS, INDEXES)
    ledger = Ledger(table, store.now, store.alone)
    return Files(place_at(place, patience), ledger, most_bytes)
