"""Many clients at one server, and a server that is killed again and again while they go on.

The clients are threads that speak plain HTTP to Novita's v2 API: submit with an Idempotency-Key,
poll, fetch, compare with what the local engine makes of the same picture.
"""

import http.client
import json
import random
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.attacks import fuzz_routes
from tests.server.sockless import MODEL, TO_2K, WAVESPEED, image, text
from upscale_bridge.monitor import Monitor
from upscale_bridge.server import processing
from upscale_bridge.service import Service
from upscale_bridge.vendors import NovitaUpscaleV2

SIZES = ((24, 16), (16, 24), (40, 32), (64, 48))
POLL_SECONDS = 0.02
TASK_SECONDS = 180.0
DIED = "The worker died"
LARGE = (TO_2K, WAVESPEED)
"""Submits whose results are large whatever the image is."""


def pictures(count=8):
    """Return pairs of an image and what the local engine makes of it, both encoded."""
    service, operation = Service(), NovitaUpscaleV2(upscaler_1=MODEL, upscaling_resize=2.0)
    made = [image(*SIZES[index % len(SIZES)], seed=index) for index in range(count)]
    quiet = Monitor()
    return [(data, processing.carry_out(service, operation, data, quiet).data) for data in made]


@dataclass
class Report:
    """What the clients met with; times are seconds."""

    submitted: int = 0
    delivered: int = 0
    different: int = 0
    died: int = 0
    """Tasks that failed because workers died with them twice."""
    errors: list[str] = field(default_factory=list)
    finished: list[float] = field(default_factory=list)
    """When each client had its last result, counted from the start."""
    seconds: float = 0.0
    polls: list[float] = field(default_factory=list)
    repeats: int = 0
    """Calls that had to be sent again because the server was gone."""
    kills: Counter = field(default_factory=Counter)
    """(what was killed, whether a job was running) of each kill."""
    orphans: int = 0
    """Workers that were still there 5 s after their listener was killed."""
    counts: dict = field(default_factory=dict)
    """The server's own count of jobs at the end."""

    @property
    def lost(self):
        """How many tasks were accepted and never heard of again."""
        return self.submitted - self.delivered - self.different - self.died

    def poll_ms(self, share):
        """Return the time below which this share of the polls was answered."""
        return 1000 * sorted(self.polls)[min(int(share * len(self.polls)), len(self.polls) - 1)]


class Customer:
    """One client with a key and a connection of its own."""

    def __init__(self, server, name, pairs, report, patient=False):
        """A `patient` one sends a call again when the server is gone."""
        self._server, self.name, self._pairs = server, name, pairs
        self._report, self._patient = report, patient
        self._headers = {"Authorization": f"Bearer {name}", "Content-Type": "application/json"}
        self._connection = None
        self._waiting = []
        self._count = 0

    def submit(self):
        """Submit one image more."""
        index = self._count
        self._count += 1
        body = {
            "image": text(self._pairs[index % len(self._pairs)][0]),
            "upscaler_1": MODEL,
            "upscaling_resize": 2,
        }
        key = {"Idempotency-Key": f"{self.name}-{index}"}
        answer = json.loads(self._call("POST", "/v2/upscale", json.dumps(body).encode(), key))
        if answer["code"] == 0:
            self._waiting.append((index, answer["data"]["task_id"], time.monotonic()))
            self._note("submitted")
        else:
            self._report.errors.append(answer["msg"])

    def look(self):
        """Poll the oldest task, and take its result; return whether one is left."""
        if not self._waiting:
            return False
        index, ticket, since = self._waiting[0]
        started = time.monotonic()
        answer = json.loads(self._call("GET", f"/v2/progress?task_id={ticket}"))
        self._report.polls.append(time.monotonic() - started)
        data = answer["data"] or {}
        if data.get("status") in (0, 1):
            if time.monotonic() - since < TASK_SECONDS:
                return True
            self._report.errors.append(f"task {index} of {self.name} takes for ever")
        elif data.get("status") == 2:
            found = self._fetch(data["imgs"][0])
            same = found == self._pairs[index % len(self._pairs)][1]
            self._note("delivered" if same else "different")
        elif str(data.get("failed_reason", "")).startswith(DIED):
            self._note("died")
        else:
            self._report.errors.append(json.dumps(answer))
        self._waiting.pop(0)
        return bool(self._waiting)

    def _fetch(self, url):
        """Return a result: of the server, or of the store that the server names."""
        parts = urlsplit(url)
        if parts.port in getattr(self._server, "ports", [self._server.port]):
            return self._call("GET", parts.path)
        with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)) as store:
            store.request("GET", f"{parts.path}?{parts.query}")
            return store.getresponse().read()

    def waiting(self):
        """Return how many tasks are not finished, as far as this client knows."""
        return len(self._waiting)

    def close(self):
        """Drop the connection."""
        if self._connection:
            self._connection.close()

    def _note(self, what):
        with _LOCK:
            setattr(self._report, what, getattr(self._report, what) + 1)

    def _call(self, method, path, body=None, more=None):
        until = time.monotonic() + 60
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(
                        "127.0.0.1", self._server.port, timeout=60
                    )
                self._connection.request(method, path, body, {**self._headers, **(more or {})})
                reply = self._connection.getresponse()
                data = reply.read()
            except (OSError, http.client.HTTPException):
                self.close()
                self._connection = None
                if not self._patient or time.monotonic() > until:
                    raise
                self._note("repeats")
                time.sleep(0.05)
                continue
            if reply.status != 200:
                raise RuntimeError(f"{method} {path}: {reply.status} {data[:300]!r}")
            return data


_LOCK = threading.Lock()


def load(server, clients=8, tasks=100, pairs=None):
    """Let clients submit and fetch tasks; the first one submits all of its own before the rest.

    In order of arrival it would have all results when the others still wait for their first.
    """
    report, pairs = Report(), pairs or pictures()
    customers = [Customer(server, f"client-{index}", pairs, report) for index in range(clients)]
    barrier = threading.Barrier(clients)

    def work(customer, first):
        try:
            if first:
                _submit(customer, tasks)
            barrier.wait(120)
            if not first:
                _submit(customer, tasks)
            while customer.look():
                time.sleep(POLL_SECONDS)
            report.finished.append(time.monotonic() - started)
        except Exception as error:
            barrier.abort()
            report.errors.append(f"{type(error).__name__}: {error}")
        finally:
            customer.close()

    started = time.monotonic()
    _all(threading.Thread(target=work, args=(one, one is customers[0])) for one in customers)
    report.seconds = time.monotonic() - started
    report.counts = server.counts()
    return report


def kills(
    server,
    rounds=50,
    clients=4,
    ahead=6,
    seed=1,
    longest=1.0,
    pairs=None,
    targets=None,
    poll=POLL_SECONDS,
):
    """Kill worker and server in turn while clients always have `ahead` tasks each in the queue.

    Each client polls every `poll` seconds.
    """
    report, pairs, dice = Report(), pairs or pictures(), random.Random(seed)
    over = threading.Event()
    customers = [
        Customer(server, f"patient-{index}", pairs, report, patient=True)
        for index in range(clients)
    ]

    def work(customer):
        try:
            while not over.is_set() or customer.waiting():
                while customer.waiting() < ahead and not over.is_set():
                    customer.submit()
                customer.look()
                time.sleep(poll)
        except Exception as error:
            report.errors.append(f"{type(error).__name__}: {error}")
        finally:
            customer.close()

    threads = [threading.Thread(target=work, args=(one,)) for one in customers]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        for number in range(rounds):
            done = server.counts()["done"]
            _until(lambda before=done: server.counts()["done"] > before)  # a worker is at work
            time.sleep(dice.uniform(0.0, longest))
            busy = bool(server.counts()["running"])
            target = (targets or ("worker", "server"))[number % len(targets or "ab")]
            report.kills[target, busy] += 1
            if target == "worker":
                server.kill_worker()
            else:
                server.kill()
                server.start()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    report.seconds = time.monotonic() - started
    report.counts = server.counts()
    report.orphans = len(server.orphans(5.0))
    return report


def noise(server, count, seed):
    """Send requests at random and return how often each status was answered."""
    answers, chance, picture = Counter(), random.Random(seed), image(4, 4)
    while answers.total() < count:
        sent = fuzz_routes.call(chance, picture)
        if sent.url.partition("?")[0] not in LARGE:
            answers[fuzz_routes.send(server.port, sent)[0]] += 1
    return answers


def _submit(customer, tasks):
    for _ in range(tasks):
        customer.submit()


def _until(condition, seconds=60.0):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("the server delivers nothing any more")
        time.sleep(0.05)


def _all(threads):
    running = list(threads)
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
