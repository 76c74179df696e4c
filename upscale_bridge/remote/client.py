"""Remote requests for one host program: the journal, and the tasks of a request."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ..contract.catalogue import CatalogueModel
from ..contract.files import Sendable
from ..contract.operation import RemoteOperation
from ..contract.pricing import Price, money
from ..errors import (
    InvalidInputError,
    MissingKeyError,
    SettingsError,
    TaskFailedError,
    TransportError,
    UpscaleError,
)
from ..monitor import Monitor
from ..network.addresses import Resolve, resolve
from ..storage.keys import Keys
from ..storage.settings import Settings, home, load_settings
from ..vendors import ALL, operation_named
from .clock import Clock
from .context import Context, Delivered, Request
from .gate import admit
from .hosts import Hosts
from .journal import Journal
from .lifecycle import Outcome, reuse
from .offers import Offers
from .pool import Pool
from .progress import View
from .submit import doubt, retired
from .task import Task

_TYPICAL_SECONDS = 20.0
_TIDY_SECONDS = 3600.0

Outlook = Literal["new", "resumed", "reused"]


class Client:
    """Runs remote requests; thread-safe."""

    def __init__(
        self,
        keys: Keys | None = None,
        settings: Callable[[], Settings] = load_settings,
        clock: Clock | None = None,
        look_up: Resolve = resolve,
    ) -> None:
        """`keys` finds the providers' keys; `clock` and `look_up` are for tests."""
        self.settings = settings
        self.hosts = Hosts(keys or Keys(), settings, look_up)
        self.pool = Pool()
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._journals: dict[Path, Journal] = {}
        self._tidied: float | None = None
        self.offers = Offers(self.hosts.ask, self.hosts.address, self._clock)

    @property
    def journal(self) -> Journal:
        """The journal in the user's data folder."""
        with self._lock:
            folder = home()
            if folder not in self._journals:
                self._journals[folder] = Journal(folder, self._clock)
            return self._journals[folder]

    def request(
        self,
        operation: RemoteOperation,
        file: Sendable | None,
        content: bytes,
        read: Callable[[Delivered], Any],
    ) -> Request:
        """Return what `run` takes; `content` is whatever identifies what is shown in `file`."""
        vendor = operation.vendor
        base_url = self.hosts.address(vendor)
        facts = {
            "provider": vendor.name,
            "base_url": base_url,
            "operation": type(operation).__name__,
            "parameters": operation.told(),
            "attempt": operation.attempt,
        }
        head = json.dumps(facts, sort_keys=True).encode()
        told = operation.told()
        if operation.image_address:
            told["image_url"] = _public(operation.image_address)
        task = Task(
            request=hashlib.sha256(head + b"\0" + content).hexdigest()[:32],
            provider=vendor.name,
            base_url=base_url,
            operation=type(operation).__name__,
            parameters=json.dumps(told),
            width=file.width if file else 0,
            height=file.height if file else 0,
        )
        return Request(task, operation, file, read)

    def run(self, requests: Sequence[Request], monitor: Monitor) -> list[Outcome | UpscaleError]:
        """Return what came of each request of one operation, in their order; see `deliver`.

        Kept results need neither key nor network. Raises what `monitor.check` raises; nothing
        that was accepted is lost then.
        """
        settings = self.settings()
        found: list[Outcome | UpscaleError | None] = []
        for request in requests:
            monitor.check()
            try:
                found.append(reuse(request, self.journal, settings.result_days))
            except UpscaleError as error:
                found.append(error)
        left = [request for request, result in zip(requests, found, strict=True) if result is None]
        if not left:
            monitor.status("reused")
        rest = iter(self._run_new(left, settings, monitor) if left else ())
        return [next(rest) if result is None else result for result in found]

    def deliver(self, outcomes: Sequence[Outcome]) -> None:
        """Note that outcomes reach the user now; only then they grow old.

        After new ones, though seldom, what is old is removed.
        """
        now = self._clock.monotonic()
        with contextlib.suppress(SettingsError):  # no reason to keep them from the user
            fresh = [outcome.task.request for outcome in outcomes if outcome.task.undelivered]
            if not fresh:
                return
            self.journal.deliver(fresh)
            if self._tidied is None or now - self._tidied > _TIDY_SECONDS:
                self._tidied = now
                self.journal.sweep(self.settings().result_days)

    def resume(
        self,
        name: str,
        reader: Callable[[Task], Callable[[Delivered], Any]],
        monitor: Monitor,
        operation: type[RemoteOperation] | None = None,
    ) -> Outcome:
        """Return the result of a task by its ticket, or by its request's name in the journal.

        `reader` makes `Request.read` for the task. A ticket that this machine does not know
        needs the `operation` that made it.
        """
        task = self._known(name.strip(), operation)
        kind = _operation(task)
        if task.base_url != self.hosts.address(kind.vendor):
            raise SettingsError(
                f"Task {name} is at {task.base_url}, not at the present host; set "
                f"{kind.vendor.url_variable} to that address."
            )
        if task.state == "expired" and task.ticket:
            self.journal.reopen(task.request)  # asking once more costs nothing
        elif task.state in ("failed", "expired"):
            raise TaskFailedError(task.reason, ticket=task.ticket)
        if task.state == "ambiguous" and not task.ticket and kind.history is None:
            raise doubt(kind, task.request, task.reason)
        (outcome,) = self.run([Request(task, kind(), None, reader(task), resumes=True)], monitor)
        if isinstance(outcome, UpscaleError):
            raise outcome
        return outcome

    def maker(self, name: str, made_by: str) -> type[RemoteOperation] | None:
        """Return the operation of a task by its ticket or its request's name in the journal, else
        the one called `made_by`; None when that is none.

        Raises `InvalidInputError` when several tasks bear the name.
        """
        task = self.journal.find(name.strip())
        if task is not None:
            return _operation(task)
        return next((kind for kind in ALL if kind.__name__ == made_by), None)

    def attach(self, name: str, ticket: str) -> None:
        """Give an ambiguous task the ticket that its user found at the service."""
        task = self.journal.find(name)
        doubtful = task is not None and task.state == "running" and task.reason
        if task is None or not (task.state == "ambiguous" or doubtful):
            raise InvalidInputError("ID", f"There is no task {name} whose ticket is unknown.")
        if not _operation(task).has_tasks():
            raise InvalidInputError(
                "ID",
                f"{_operation(task).title} has no tickets; a result can only come with the "
                "submit itself.",
            )
        self.journal.attach(replace(task, ticket=ticket, state="running", owner="", reason=""))

    def models(self, kind: type[RemoteOperation]) -> tuple[CatalogueModel, ...]:
        """Return the models that a host lists for an operation; asks nobody and never fails."""
        assert kind.catalogue is not None
        try:
            return self.offers.models(kind)
        except SettingsError:  # said where something is run
            return kind.catalogue.known

    def outlook(self, request: Request) -> Outlook:
        """Tell what a run would do for a request, for all that is known here."""
        days = self.settings().result_days
        if self.journal.is_kept(request.task.request, days):
            return "reused"
        return "new" if self.journal.would_submit(request.task.request, days) else "resumed"

    def _run_new(
        self, requests: Sequence[Request], settings: Settings, monitor: Monitor
    ) -> Sequence[Outcome | UpscaleError]:
        """Return what came of requests that have no kept result."""
        days = settings.result_days
        new = {
            request.task.request
            for request in requests
            if not request.resumes and self.journal.would_submit(request.task.request, days)
        }
        cost, refusal = 0.0, None
        if new:
            operation = requests[0].operation
            free = operation.free or self.hosts.is_private(operation.vendor)
            try:
                price = admit(self.offers, operation, len(new), settings, free=free)
                cost = price.amount if price else 0.0
                _announce(monitor, operation, price, len(new), free=free)
            except UpscaleError as error:
                refusal = error
        left = [one for one in requests if refusal is None or one.task.request not in new]
        rest = iter(self._carry_out(left, settings, monitor, cost) if left else ())
        return [
            next(rest) if refusal is None or one.task.request not in new else refusal
            for one in requests
        ]

    def _carry_out(
        self, requests: Sequence[Request], settings: Settings, monitor: Monitor, cost: float
    ) -> Sequence[Outcome | UpscaleError]:
        operation = requests[0].operation
        try:
            transport = self.hosts.transport(operation.vendor)
        except MissingKeyError as error:
            ended = operation.retirement and not operation.deprecated
            # Nobody gives keys for it any more.
            if ended and self.hosts.is_vendor(operation.vendor):
                return [retired(operation)] * len(requests)
            return [error] * len(requests)
        except TransportError as error:
            return [error] * len(requests)
        first_poll = self.hosts.first_poll(operation.vendor)
        halt = threading.Event()
        contexts = [
            Context(
                request=request,
                transport=transport,
                journal=self.journal,
                settings=settings,
                clock=self._clock,
                stop=threading.Event(),
                halt=halt,
                view=View(since=self._clock.monotonic()),
                first_poll=first_poll,
                cost=cost,
            )
            for request in requests
        ]
        typical = self.journal.typical_seconds(type(operation).__name__) or _TYPICAL_SECONDS
        return self.pool.run(contexts, monitor, typical)

    def _known(self, name: str, operation: type[RemoteOperation] | None) -> Task:
        """Return a task of the journal, or write one down that another machine submitted."""
        task = self.journal.find(name)
        if task is not None:
            return task
        if operation is None or not name:
            raise InvalidInputError(
                "task_id",
                f"This machine knows no task {name[:80]!r}; `upscale-bridge tasks` lists those it "
                "knows. For a task of another machine, say which operation made it.",
            )
        base_url = self.hosts.address(operation.vendor)
        task = Task(
            request=hashlib.sha256(f"ticket\0{base_url}\0{name}".encode()).hexdigest()[:32],
            provider=operation.vendor.name,
            base_url=base_url,
            operation=operation.__name__,
            parameters="{}",
            state="running",
            ticket=name,
            created=self._clock.now(),
            submitted=self._clock.now(),
        )
        self.journal.attach(task)
        return task


def _announce(
    monitor: Monitor, operation: RemoteOperation, price: Price | None, count: int, *, free: bool
) -> None:
    """Say how often a run pays before it does."""
    if count < 2 or (free and (price is None or not price.amount)):
        return
    total = f", {money(price.amount * count, price.currency)} in all" if price else ""
    monitor.notice(f"{operation.title}: {count} {operation.media}s are {count} payments{total}.")


def _operation(task: Task) -> type[RemoteOperation]:
    return operation_named(task.operation)


def _public(url: str) -> str:
    """Return an address without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
