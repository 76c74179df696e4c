"""Taking a submit: the image is looked at from outside, room is set aside, the job is stored.

Accepted means stored, and that the result will find its place on the disk. Pixels are decoded by
the workers only.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace

from ..contract.http import Call, Reply
from ..contract.operation import RemoteOperation
from ..contract.reading import read_base64
from ..contract.server import ServerWire, Submit
from ..contract.tasks import Source
from ..errors import BadReplyError, InvalidInputError, TransportError
from ..images import codecs
from ..service import Service
from . import processing
from .admission import RefusedError
from .api_clients import ApiClient
from .files import Files
from .queue import USUAL, Job, Queue
from .replies import Replies, Wait
from .slots import Slots
from .uploads import UploadStore
from .webhooks import check_address

_FETCHES, _FETCHES_EACH = 8, 2
_URGENCY = re.compile(r"(?:^|[,;]) *u=([0-7]) *(?:$|[,;])")


class Submits:
    """Takes submits; thread-safe."""

    def __init__(
        self,
        service: Service,
        queue: Queue,
        files: Files,
        uploads: UploadStore,
        replies: Replies,
        fetch: Callable[[str], bytes] | None,
        *,
        substitute: bool,
    ) -> None:
        """`fetch` returns what lies at an address; without it none is fetched. `substitute` lets
        the shipped model stand in for known ones that are not here."""
        self._substitute = substitute
        self._service, self._queue, self._files = service, queue, files
        self._uploads, self._replies, self._fetch = uploads, replies, fetch
        self._fetching = Slots(_FETCHES, _FETCHES_EACH)

    def take(
        self,
        call: Call,
        api: ServerWire,
        submit: Submit,
        customer: ApiClient,
        base_url: str,
    ) -> Reply | Wait:
        """Answer a submit to one of the APIs.

        Raises `InvalidInputError`, `QueueFullError`, `NoRoomError`, `KeyReusedError`,
        `RefusedError` or `SettingsError`.
        """
        operation = submit.operation
        job = Job(
            id=secrets.token_urlsafe(16),
            customer=customer.name,
            operation=type(operation).__name__,
            parameters=json.dumps(operation.told()),
            source="",
            lifetime=operation.result_seconds or api.lifetime,
            key=call.headers.get("idempotency-key", "")[:200],
            digest=hashlib.sha256(call.url.encode() + b"\0" + call.body).hexdigest(),
            base_url=base_url,
            webhook=check_address(submit.webhook),
            urgency=_urgency(call.headers.get("priority", "")),
        )
        earlier = self._queue.repeated(job)
        if earlier is not None:
            return self._replies.accepted(submit, earlier, base_url)
        data = self._read(submit.source, customer, base_url)
        stored = self._store(job, operation, customer, data)
        return self._replies.accepted(submit, stored, base_url)

    def _store(self, job: Job, operation: RemoteOperation, customer: ApiClient, data: bytes) -> Job:
        """Check an image from outside, set room aside, keep the image, and queue its job."""
        head = codecs.read_header(data, "the image", codecs.SERVER_FORMATS)
        processing.check_input(head.width, head.height, customer.input_megapixels)
        models = processing.check(
            self._service,
            operation,
            head.width,
            head.height,
            customer.result_megapixels,
            substitute=self._substitute,
        )
        room = len(data) + processing.largest_result(operation, head.width, head.height)
        share = customer.share(self._files.most, customer.disk_mb << 20)
        name = self._files.new_name(codecs.MIMES.get(head.format, ""))
        self._files.accept(name, data, customer.name, share, room=job.id, size=room)
        stored = None
        try:
            job = replace(job, source=name, width=head.width, height=head.height)
            job = replace(job, models=json.dumps(models))
            waiting = customer.share(self._queue.most, customer.waiting)
            stored = self._queue.submit(job, customer.allowances, waiting)
            return stored
        finally:
            if stored is None or stored.id != job.id:  # refused, or the same came meanwhile
                self._files.remove(name)
                self._files.release(job.id)

    def _read(self, source: Source, customer: ApiClient, base_url: str) -> bytes:
        """Return the image of a submit."""
        if source.kind != "url":
            try:
                return read_base64(source.text)
            except BadReplyError as error:
                raise InvalidInputError("image", "The image is not base64.") from error
        data = self._uploads.find(source.text, base_url)
        if data is not None:
            return data
        if self._fetch is None:
            raise InvalidInputError(
                "image",
                "This server fetches no addresses; upload the image, or send it as base64 or as "
                "a data URI.",
            )
        if not self._fetching.take(customer.name):
            raise RefusedError(429, "Too many addresses are being fetched; try again later.")
        try:
            return self._fetch(source.text)
        except (TransportError, BadReplyError) as error:
            raise InvalidInputError("image", f"The image cannot be fetched: {error}") from error
        finally:
            self._fetching.give(customer.name)


def _urgency(priority: str) -> int:
    """Return how urgent the header Priority (RFC 9218) says that a request is: `USUAL` or less
    urgent, since nobody may go before all others by saying so."""
    found = _URGENCY.search(priority)
    return max(int(found[1]), USUAL) if found else USUAL
