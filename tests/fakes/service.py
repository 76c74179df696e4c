"""A stand-in of the vendors' APIs on this machine, which misbehaves on request.

    with FakeService(seconds=0.1) as service:
        service.faults["submit"].append(faults.reset_after_accept())
        ...
        assert len(service.tasks) == 1

On its own: `python -m tests.fakes.service --seconds 5`.
"""

import argparse
import collections
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tests.fakes import pictures, routes
from tests.fakes.answers import Refusal
from tests.fakes.exchange import Server
from tests.fakes.tasks import Clock, Submitted, Task

TLS = tuple(
    Path(__file__).parents[1] / "data" / "tls" / f"localhost.{end}" for end in ("pem", "key")
)
PHASES = (
    "submit",
    "poll",
    "ticket",
    "put",
    "legacy",
    "download",
    "health",
    "history",
    "models",
    "price",
    "balance",
)
PRESET_EDGES = {"2k": 64, "4k": 128, "8k": 256}


class Request(NamedTuple):
    """One request that came in."""

    method: str
    path: str
    query: str
    """As it was sent, without the question mark."""
    headers: dict
    """Names in lower case."""
    outcome: object
    """The status of the answer, or the name of the fault."""


class FakeService:
    """Speaks like all vendors of `tests/vendors` on one port.

    `tasks` are what was created and hence billed, `most_unfinished` how many of them there were at
    one time, `requests` whatever came in; `lock` protects them. `faults[phase]` are taken one per
    request of that phase. `errors` are those of the stand-in itself; the first one is raised at
    the end.

    A task takes `queued_seconds` and `seconds`, or passes through `states`, raw words of which
    each poll tells the next. `preset_edges` are the long edges that "2k", "4k" and "8k" stand for.
    `sync_limit` is how many seconds a submit waits that may be waited for. `files_host` is the name
    of this machine in the addresses of results and uploads. With `history` there is a list of
    tasks, which shows one after `history_lag` seconds, and nothing for the first `hidden_looks`
    looks. A `catalogue` is a list of models, told with a `balance` and prices. With
    `idempotent` it is this project's own server, which honours Idempotency-Key. `tls` is a
    certificate's file and its key's.
    """

    def __init__(
        self,
        *,
        key=None,
        seconds=0.0,
        queued_seconds=0.0,
        states=None,
        preset_edges=None,
        idempotent=False,
        sync_limit=60.0,
        files_host=None,
        tls=None,
        port=0,
    ):
        self.key, self.idempotent, self.sync_limit = key, idempotent, sync_limit
        self.key_headers = routes.KEY_HEADERS
        self.clock = Clock(seconds, queued_seconds, states)
        self.preset_edges = preset_edges or PRESET_EDGES
        self.lock, self.closing = threading.RLock(), threading.Event()
        self.tasks, self.requests, self.errors = [], [], []
        self.most_unfinished = 0
        self.faults = {phase: collections.deque() for phase in PHASES}
        self.tickets, self.uploads, self._by_key = {}, {}, {}
        self.history, self.history_lag, self.hidden_looks = False, 0.0, 0
        self.catalogue, self.balance = None, 12.5
        self._server = Server(self, tls, port)
        self.port = self._server.server_port
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.base_url = f"{scheme}://{host}:{self.port}"
        self.files_url = f"{scheme}://{files_host or host}:{self.port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        if self.errors and kind is None:
            raise self.errors[0]

    # --- what tests ask

    def count(self, phase):
        """Return how many requests of a phase came in, faults included."""
        with self.lock:
            return sum(phase_of(request) == phase for request in self.requests)

    def task(self, id):
        """Return the task of that id."""
        with self.lock:
            return next(task for task in self.tasks if task.id == id)

    # --- what endpoints ask

    def take(self, text):
        """Return the image of a submit, however it comes, without ever fetching an address."""
        if not isinstance(text, str) or not text:
            raise Refusal("body", "image is missing")
        try:
            if text.startswith(("http://", "https://")):
                data, source = self._behind(text)
                return Submitted(data, pictures.size_of(data), source, text)
            data = pictures.from_base64(text)
            source = "data_uri" if text.startswith("data:") else "base64"
            return Submitted(data, pictures.size_of(data), source)
        except ValueError as error:
            raise Refusal("image", str(error)) from error

    def _behind(self, url):
        if not url.startswith(f"{self.files_url}/"):
            return pictures.stranger(), "url"
        data = self.uploaded(url)
        if data is None:
            raise ValueError("nothing was uploaded to that address")
        return data, "upload"

    def uploaded(self, url):
        """Return what was uploaded to an address, None when nothing was."""
        name = url.removeprefix(f"{self.files_url}/uploads/").partition("/")[0]
        return self.uploads.get(name)

    def nothing(self, url):
        """Return the image of an address where nothing is."""
        return Submitted(b"", (0, 0), "upload", url)

    def accept(self, x, body, image, target, format, crop=False):
        """Create a task, unless the same submit was accepted before under the same key."""
        key, digest = x.headers.get("idempotency-key"), sha256(x.body).digest()
        with self.lock:
            if self.idempotent and key in self._by_key:
                task, before = self._by_key[key]
                if before != digest:
                    raise Refusal("conflict", "the Idempotency-Key came with another body")
                return task
            task = Task(x.path, body, x.headers, image.size, image.source, image.url, key)
            task.image, task.target, task.format, task.crop = image.data, target, format, crop
            task.failure, task.alter = x.failure, x.alter
            self.tasks.append(task)
            if key is not None:
                self._by_key[key] = (task, digest)
            unfinished = sum(self.clock.unfinished(task) for task in self.tasks)
            self.most_unfinished = max(self.most_unfinished, unfinished)
            return task

    def find(self, x, id):
        """Return the task that a poll or a download means."""
        with self.lock:
            for task in self.tasks:
                if task.id == id:
                    task.failure = x.failure or task.failure
                    return task
        raise Refusal("task", "no such task")

    def edge(self, preset):
        """Return the long edge that a preset stands for."""
        return self.preset_edges[preset]

    def signed(self, path):
        """Return an address that is only good byte for byte."""
        mark = sha256(f"{self.port}{path}".encode()).hexdigest()[:16]
        signature = f"X-Amz-Credential=AKIAEXAMPLE%2F20240321%2Fs3&X-Amz-Expires=3600&sig={mark}%3D"
        return f"{self.files_url}{path}?{signature}"

    def file_url(self, task):
        """Return the signed address of a task's result."""
        return self.signed(f"/files/{task.id}.{task.format}")

    def upload_url(self, name, filename):
        """Return the address that a submit names an upload by."""
        return f"{self.files_url}/uploads/{name}/{filename}"

    def rest(self, until):
        """Wait for an event, some seconds or, for None, the end; never longer than the service."""
        if isinstance(until, threading.Event):
            while not until.is_set() and not self.closing.wait(0.01):
                pass
        else:
            self.closing.wait(until)

    def record(self, x, outcome):
        """Remember a request before its answer goes out."""
        with self.lock:
            self.requests.append(Request(x.method, x.path, x.query, x.headers, outcome))

    def next_fault(self, phase):
        """Return the fault that waits for a request of this phase, or None."""
        with self.lock:
            waiting = self.faults.get(phase)
            return waiting.popleft() if waiting else None

    def refused_key(self, name, headers):
        """Return why the key in the header `name` is refused, or None."""
        if self.key is None or not name:
            return None
        given = headers.get(name, "").removeprefix("Bearer ")
        if given == self.key:
            return None
        return "key" if given else "no_key"


def phase_of(request):
    """Return the phase that a request belongs to."""
    route, _ = routes.find_route(request.method, request.path)
    return route.phase if route else ""


def main():
    """Serve until the standard input ends or half an hour is over."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--queued-seconds", type=float, default=0.0)
    parser.add_argument("--states", help="raw status words with commas, one per poll")
    parser.add_argument("--key")
    parser.add_argument("--idempotent", action="store_true")
    options = vars(parser.parse_args())
    options["states"] = options["states"].split(",") if options["states"] else None
    ended = threading.Event()

    def wait_for_end():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    with FakeService(**options) as service:
        sys.stdout.write(f"{service.base_url}\n")
        sys.stdout.flush()
        ended.wait(30 * 60)


if __name__ == "__main__":
    main()
