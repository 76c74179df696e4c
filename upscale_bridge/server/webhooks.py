"""Telling customers that a job has ended, at the address that its submit named.

Only public addresses are told. What does not arrive is sent again, more and more rarely.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ..contract import signing
from ..contract.http import Json
from ..errors import InvalidInputError, SettingsError, UpscaleError
from ..network.addresses import is_http
from ..remote.clock import Clock
from ..storage.settings import make_folder, write_private
from .queue import Job, Queue
from .slots import Slots

log = logging.getLogger("upscale_bridge.server")

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends a body to an address and returns the HTTP status."""

_LOOK_SECONDS, _STOP_SECONDS = 0.5, 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 3600.0
_MOST_TRIES = 10
_AT_ONCE, _EACH = 16, 2
_LONGEST_ADDRESS = 2000


def check_address(url: str) -> str:
    """Return the address of a webhook, empty for none; raises `InvalidInputError`."""
    if url and (len(url) > _LONGEST_ADDRESS or not is_http(url)):
        raise InvalidInputError(
            "webhook", "The webhook must be an address such as https://host/path."
        )
    return url


class Secrets:
    """The customers' secrets, all derived from one that is kept in a private file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, customer: str) -> str:
        """Return a customer's secret, as `signing` and the customer need it."""
        made = hmac.new(self._root(), customer.encode(), hashlib.sha256).hexdigest()
        return signing.PREFIX + made

    def _root(self) -> bytes:
        """Return the secret of all secrets; whoever asks first makes it, for all others too."""
        if not self._path.exists():
            make_folder(self._path.parent, private=True)
            made = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
            write_private(made, secrets.token_hex(32))
            try:
                os.link(made, self._path)
            except FileExistsError:
                log.debug("Another thread or process made the webhook secret.")
            except OSError as error:
                raise SettingsError(f"Cannot write {self._path} ({error.strerror}).") from error
            finally:
                made.unlink(missing_ok=True)
        return self._path.read_bytes()


class Webhooks:
    """Sends events on threads of its own, from entering to leaving.

    Each customer may keep some of the threads waiting, so that slow addresses of one do not delay
    the events of another.
    """

    def __init__(
        self,
        queue: Queue,
        event: Callable[[Job], Json],
        post: Post,
        keys: Secrets,
        clock: Clock | None = None,
    ) -> None:
        """`event` makes the body that the job's API documents; `post` ends within a minute."""
        self._queue, self._event, self._post, self._keys = queue, event, post, keys
        self._clock = clock or Clock()
        self._slots = Slots(_AT_ONCE, _EACH)
        self._lock = threading.Lock()
        self._telling: dict[str, threading.Thread] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Webhooks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_STOP_SECONDS)  # what is not told now waits in the queue

    def tell_all(self) -> None:
        """Send what is due, once, and wait for it."""
        for thread in self._begin():
            thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self._begin()
            except UpscaleError as error:  # a database that is away, say
                log.warning("Webhooks wait: %s", error)
            except Exception:  # events wait in the queue; without this thread they would for ever
                log.exception("Webhooks could not be sent.")

    def _begin(self) -> list[threading.Thread]:
        """Begin to send what is due and finds a place; returns the threads that do it."""
        begun = []
        for job in self._queue.untold(_EACH):
            with self._lock:
                if job.id in self._telling or not self._slots.take(job.customer):
                    continue
                thread = threading.Thread(target=self._tell, args=(job,), daemon=True)
                self._telling[job.id] = thread
            thread.start()
            begun.append(thread)
        return begun

    def _tell(self, job: Job) -> None:
        try:
            if not self._queue.claim_tell(job):  # another listener tells it
                return
            arrived = self._send(job)
            pause = min(_FIRST_PAUSE * 2**job.tells, _LONGEST_PAUSE)
            over = arrived or job.tells + 1 >= _MOST_TRIES
            self._queue.note_tell(job, over=over, pause=pause)
        except UpscaleError as error:  # a full disk, say; the event waits in the queue
            log.warning("The webhook of job %s could not be noted: %s", job.id, error)
        finally:
            with self._lock:
                del self._telling[job.id]
            self._slots.give(job.customer)

    def _send(self, job: Job) -> bool:
        try:
            body = json.dumps(self._event(job), separators=(",", ":")).encode()
            now = int(self._clock.now())
            signed = signing.headers(self._keys.of(job.customer), job.id, now, body)
            headers = {"Content-Type": "application/json", **signed}
            return 200 <= self._post(job.webhook, body, headers) < 300
        except Exception as error:  # whatever an address does, it counts as a try
            log.warning(
                "The webhook of job %s was not reached: %s: %s", job.id, type(error).__name__, error
            )
            return False
