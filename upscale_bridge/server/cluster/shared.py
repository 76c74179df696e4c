"""What all listeners must agree on beside tasks and files: promised uploads, and one secret."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from ...storage.database import Migration
from ..api_clients import ApiClient
from ..uploads import MOST_EACH, MOST_PROMISED, Promise, Promises
from ..webhooks import Secrets
from .database import Store, StoreTable

_PROMISE_SECONDS = 3600.0

PROMISES = (  # released ones never change
    Migration(
        "the table of promised uploads",
        "CREATE TABLE promises ("
        "name TEXT NOT NULL, "
        "customer TEXT NOT NULL, "
        "facts TEXT NOT NULL, "
        "size BIGINT NOT NULL, "
        "created REAL NOT NULL, "
        "PRIMARY KEY (name))",
    ),
)
FACTS = (
    Migration(
        "the table of what is known once",
        "CREATE TABLE facts (name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name))",
    ),
)


@dataclass(frozen=True)
class PromiseRow:
    """One promised upload."""

    name: str
    customer: str
    facts: str
    """JSON of the `ApiClient`."""
    size: int
    created: float


@dataclass(frozen=True)
class Fact:
    """Something that is chosen once."""

    name: str
    value: str


class SharedPromises(Promises):
    """What any listener has promised and any other one may be sent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table = StoreTable(store, "promises", PromiseRow, PROMISES, ("customer, created",))

    def add(self, name: str, promise: Promise) -> None:
        customer = promise.customer
        with self._table.transaction():
            self._store.alone("promise")
            now = self._store.now()
            self._table.execute("DELETE FROM promises WHERE created < ?", now - _PROMISE_SECONDS)
            facts = json.dumps(asdict(customer))
            self._table.insert(PromiseRow(name, customer.name, facts, promise.size, now))
            rows = self._table.execute(
                "SELECT customer, COUNT(*) FROM promises GROUP BY customer"
            ).fetchall()
            counts = {str(one): int(count) for one, count in map(tuple, rows)}
            crowded = customer.name if counts[customer.name] > MOST_EACH else ""
            if sum(counts.values()) > MOST_PROMISED:
                crowded = max(counts, key=lambda one: counts[one])
            self._table.execute(
                "DELETE FROM promises WHERE name = (SELECT name FROM promises "
                "WHERE customer = ? ORDER BY created LIMIT 1)",
                crowded,
            )

    def find(self, name: str) -> Promise | None:
        with self._table.transaction(reading=True):
            return self._read(name)

    def take(self, name: str) -> Promise | None:
        with self._table.transaction():
            found = self._read(name)
            gone = self._table.execute("DELETE FROM promises WHERE name = ?", name)
            return found if gone.rowcount else None

    def _read(self, name: str) -> Promise | None:
        rows = self._table.rows("SELECT * FROM promises WHERE name = ?", name)
        if not rows:
            return None
        facts: dict[str, Any] = json.loads(rows[0].facts)
        return Promise(ApiClient(**facts), rows[0].size)


class SharedSecrets(Secrets):
    """The secrets of webhooks, derived from one that lies in the store."""

    def __init__(self, store: Store) -> None:
        self._table = StoreTable(store, "facts", Fact, FACTS)

    def _root(self) -> bytes:
        with self._table.transaction():
            self._table.execute(
                "INSERT INTO facts (name, value) VALUES ('webhooks', ?) ON CONFLICT DO NOTHING",
                secrets.token_hex(32),
            )
            (fact,) = self._table.rows("SELECT * FROM facts WHERE name = 'webhooks'")
            return fact.value.encode()
