"""Telling customers that a job has ended, at the address that its submit named.

Novita documents `extra.webhook.url` and no signature; WaveSpeed a `webhook` query and a signature
over `id.timestamp.body` with the customer's secret (https://wavespeed.ai/docs/verify-webhooks).
Only public addresses are told. What does not arrive is sent again, more and more rarely.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import BadReplyError, TransportError, UpscaleError
from ..remote.clock import Clock
from ..remote.wire import Json
from ..settings import make_folder, write_private
from .queue import Job, Queue

log = logging.getLogger("upscale_bridge.server")

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends a body to an address and returns the HTTP status."""

_LOOK_SECONDS, _STOP_SECONDS = 0.5, 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 3600.0
_MOST_TRIES = 10


class Secrets:
    """The customers' secrets, all derived from one that is kept in a private file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, customer: str) -> str:
        """Return a customer's secret, with WaveSpeed's whsec_ before it."""
        if not self._path.exists():
            make_folder(self._path.parent, private=True)
            write_private(self._path, secrets.token_hex(32))
        root = self._path.read_bytes()
        return "whsec_" + hmac.new(root, customer.encode(), hashlib.sha256).hexdigest()

    def sign(self, customer: str, message: str, timestamp: int, body: bytes) -> str:
        """Return WaveSpeed's signature; the prefix of the secret is not part of the key."""
        key = self.of(customer).removeprefix("whsec_").encode()
        content = f"{message}.{timestamp}.".encode() + body
        return "v3," + hmac.new(key, content, hashlib.sha256).hexdigest()


class Webhooks:
    """Sends events on a thread of its own, from entering to leaving."""

    def __init__(
        self,
        queue: Queue,
        event: Callable[[Job], Json],
        post: Post,
        keys: Secrets,
        clock: Clock | None = None,
    ) -> None:
        """`event` makes the body that the job's API documents."""
        self._queue, self._event, self._post, self._keys = queue, event, post, keys
        self._clock = clock or Clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Webhooks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_STOP_SECONDS)  # what is not told now waits in the queue

    def tell_all(self) -> None:
        """Send what is due, once."""
        for job in self._queue.untold():
            if self._stop.is_set():
                return
            arrived = self._tell(job)
            pause = min(_FIRST_PAUSE * 2**job.tells, _LONGEST_PAUSE)
            over = arrived or job.tells + 1 >= _MOST_TRIES
            self._queue.note_tell(job, over=over, pause=pause)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                self.tell_all()
            except UpscaleError:  # a full disk, say; the events wait in the queue
                log.exception("Webhooks could not be sent.")

    def _tell(self, job: Job) -> bool:
        body = json.dumps(self._event(job), separators=(",", ":")).encode()
        now = int(self._clock.now())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": job.id,
            "webhook-timestamp": str(now),
            "webhook-signature": self._keys.sign(job.customer, job.id, now, body),
        }
        try:
            return 200 <= self._post(job.webhook, body, headers) < 300
        except (TransportError, BadReplyError) as error:
            log.warning("The webhook of job %s was not reached: %s", job.id, error)
            return False
