"""The server without its sockets: a Call comes in, a Reply goes out, or the wish to wait for a job.

Each vendor's endpoints are read and written by the wires that the client uses too. A submit is
answered when its job is stored; the work is done by other processes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .. import __version__, codecs
from ..errors import (
    BadReplyError,
    InvalidInputError,
    SettingsError,
    TransportError,
    UpscaleError,
)
from ..remote.fields import read_body
from ..remote.provider import RemoteOperation
from ..remote.providers import (
    OPERATIONS,
    NovitaUpscale,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
)
from ..remote.wire import Call, Reply, Source, answer, listed, read_base64
from . import meaning, status
from .customers import Customer, Customers
from .files import MIMES, Files
from .queue import Job, KeyReusedError, Queue, QueueFullError
from .replies import Replies, Wait, wire_of
from .uploads import Uploads
from .webhooks import Secrets

if TYPE_CHECKING:
    from ..service import Service

log = logging.getLogger("upscale_bridge.server")

_SPEAKERS: dict[str, type[RemoteOperation]] = {
    "/v3/": NovitaUpscale,
    "/v2/": NovitaUpscaleV2,
    "/v1/": PhotioUpscale,
    "/api/": WaveSpeedUpscale,
}
_LIFETIMES = {"novita": 3600.0, "photio": 600.0, "wavespeed": 7 * 86_400.0}
_RETRY_AFTER = "5"
_OUT_OF_ORDER = "The server cannot do this at present; its log says why."


class RefusedError(UpscaleError):
    """A request that is answered with an error of this HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class App:
    """Answers calls; thread-safe."""

    def __init__(
        self,
        service: Service,
        queue: Queue,
        files: Files,
        customers: Customers,
        alive: Callable[[], int],
        webhook_keys: Secrets | None = None,
        fetch: Callable[[str], bytes] | None = None,
    ) -> None:
        """`service` knows the models, `alive` how many workers live, `webhook_keys`
        are the customers' secrets, `fetch` returns what lies at an address (without it none is
        fetched)."""
        self._secrets = webhook_keys
        self._service, self._queue, self._files = service, queue, files
        self._uploads, self._replies = Uploads(files), Replies(files)
        self._decoding = threading.Semaphore(2)  # large images take a lot of memory
        self._customers, self._alive, self._fetch = customers, alive, fetch

    def handle(self, call: Call, base_url: str) -> Reply | Wait:
        """Answer a call; names of headers are in lower case, `base_url` is what its sender used."""
        try:
            path = urlsplit(call.url).path
        except ValueError:
            return _no_such_address()
        if call.method == "GET" and path == "/healthz":
            facts = {"service": "upscale-bridge", "version": __version__}
            return answer({**facts, "idempotent_submits": True})
        if call.method == "GET" and path == "/readyz":
            ready = self._alive() > 0
            return answer({"ready": ready, **self._queue.counts()}, 200 if ready else 503)
        if call.method == "GET" and path.startswith("/files/"):
            return self._send_file(path.removeprefix("/files/"))
        if call.method == "GET" and path == "/":
            return status.page()
        if call.method == "GET" and path == "/status":
            return self._describe(call)
        speaker = next((kind for head, kind in _SPEAKERS.items() if path.startswith(head)), None)
        if speaker is None:
            try:
                return self._uploads.put(call) or _no_such_address()
            except SettingsError:
                log.exception("An upload could not be kept.")
                return answer({"code": 507, "message": _OUT_OF_ORDER}, 507)
        try:
            return self._answer(call, self._customer(call), base_url)
        except RefusedError as error:
            return speaker.wire.write_error(error.status, str(error))
        except InvalidInputError as error:
            return speaker.wire.write_error(400, str(error))
        except QueueFullError as error:
            reply = speaker.wire.write_error(429, str(error))
            return replace(reply, headers={**reply.headers, "retry-after": _RETRY_AFTER})
        except KeyReusedError as error:
            return speaker.wire.write_error(409, str(error))
        except SettingsError:  # it may name folders of this machine
            log.exception("A request could not be served.")
            return speaker.wire.write_error(503, _OUT_OF_ORDER)

    def _describe(self, call: Call) -> Reply:
        try:
            customer = self._customer(call)
            found = answer(status.describe(self._queue, self._alive(), customer.name))
            return replace(found, headers={**found.headers, "cache-control": "no-store"})
        except RefusedError as error:
            return answer({"code": error.status, "message": str(error)}, error.status)
        except SettingsError:
            log.exception("The status could not be told.")
            return answer({"code": 503, "message": _OUT_OF_ORDER}, 503)

    def _answer(self, call: Call, customer: Customer, base_url: str) -> Reply | Wait:
        for operation in OPERATIONS:
            ticket = operation.wire.read_poll_call(call)
            if ticket is not None:
                return self._poll(call, ticket, customer, base_url)
        for operation in OPERATIONS:
            found = operation.wire.read_call(call)
            if found is not None:
                return self._submit(call, *found, customer, base_url)
        uploaded = self._uploads.answer(call, base_url)
        if uploaded is not None:
            return uploaded
        asks_secret = call.method == "GET" and urlsplit(call.url).path.endswith("/webhook/secret")
        if asks_secret and self._secrets is not None:
            secret = {"secret": self._secrets.of(customer.name)}
            return answer({"code": 200, "message": "success", "data": secret})
        if call.method == "POST" and urlsplit(call.url).path.endswith("/predictions/delete"):
            return self._delete(call, customer)
        raise RefusedError(404, "This server does not have this address.")

    def _customer(self, call: Call) -> Customer:
        key = call.headers.get("x-photio-key") or call.headers.get("authorization", "")
        customer = self._customers.who(key.removeprefix("Bearer ").strip())
        if customer is None:
            raise RefusedError(401, "The API key is missing or wrong.")
        return customer

    def _submit(
        self,
        call: Call,
        operation: RemoteOperation,
        source: Source,
        customer: Customer,
        base_url: str,
    ) -> Reply | Wait:
        lifetime = float(getattr(operation, "img_expire_ttl", 0) or 0)
        job = Job(
            id="",
            customer=customer.name,
            operation=type(operation).__name__,
            parameters=json.dumps(operation.told()),
            source="",
            lifetime=lifetime or _LIFETIMES[operation.provider.name],
            key=call.headers.get("idempotency-key", "")[:200],
            digest=hashlib.sha256(call.url.encode() + b"\0" + call.body).hexdigest(),
            base_url=base_url,
            webhook=operation.wire.webhook(call),
        )
        earlier = self._queue.repeated(job)
        if earlier is not None:
            return self._replies.accepted(operation, earlier, base_url)
        for seconds, most in customer.allowances:
            if self._queue.recent(customer.name, seconds) >= most:
                raise QueueFullError(f"This key may submit {most} images in {seconds:.0f} s.")
        stored = self._store(job, operation, self._read(source, base_url))
        return self._replies.accepted(operation, stored, base_url)

    def _store(self, job: Job, operation: RemoteOperation, data: bytes) -> Job:
        """Check an image, keep it, and queue its job."""
        with self._decoding:
            image = codecs.decode(data, "the image")
            height, width = image.pixels.shape[:2]
        meaning.check(self._service, operation, width, height)
        name = self._files.new_name(codecs.MIMES.get(image.format, ""))
        self._files.write(name, data)
        stored = None
        try:
            stored = self._queue.submit(replace(job, source=name, width=width, height=height))
            return stored
        finally:
            if stored is None or stored.source != name:  # refused, or the same came meanwhile
                self._files.remove(name)

    def _poll(self, call: Call, ticket: str, customer: Customer, base_url: str) -> Reply:
        job = self._queue.get(ticket) if _is_ticket(ticket) else None
        own = job is not None and job.customer == customer.name
        if job is None or not own or wire_of(job).read_poll_call(call) != ticket:
            raise RefusedError(404, "This server knows no such task.")
        return self._replies.polled(job, base_url)

    def _delete(self, call: Call, customer: Customer) -> Reply:
        for name in filter(_is_ticket, listed(read_body(call).get("ids"))):
            job = self._queue.get(name)
            if job is not None and job.customer == customer.name and job.finished:
                self._queue.remove(job.id)
                self._files.remove(job.source)
                self._files.remove(job.result)
        return answer({"code": 200, "message": "success", "data": {}})

    def _read(self, source: Source, base_url: str) -> bytes:
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
        try:
            return self._fetch(source.text)
        except (TransportError, BadReplyError) as error:
            raise InvalidInputError("image", f"The image cannot be fetched: {error}") from error

    def _send_file(self, name: str) -> Reply:
        data = self._files.read(name)
        if data is None:
            return answer({"code": 404, "message": "There is no such file, or no more."}, 404)
        mime = MIMES.get("." + name.rpartition(".")[2], "application/octet-stream")
        return Reply(200, data, {"content-type": mime, "x-content-type-options": "nosniff"})


def _is_ticket(name: object) -> bool:
    return isinstance(name, str) and name.isascii()


def _no_such_address() -> Reply:
    return answer({"code": 404, "message": "This server does not have this address."}, 404)
