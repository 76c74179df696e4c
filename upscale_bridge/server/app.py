"""The server without its sockets: a Call comes in, a Reply goes out, or the wish to wait for a job.

Each vendor's endpoints are read and written by the wires that the client uses too. A submit is
answered when its job is stored; the work is done by other processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .. import __version__
from ..contract.http import Call, Reply, answer
from ..contract.server import (
    Answered,
    AskUpload,
    AskWebhookSecret,
    Delete,
    ListTasks,
    Poll,
    PostUpload,
    ServerWire,
    Submit,
)
from ..contract.tasks import Done, Failed, Queued, Running
from ..errors import InvalidInputError, SettingsError, UpscaleError
from ..vendors import server_at
from . import status
from .admission import Admission, RefusedError, Sender, admit
from .api_clients import ApiClient, ApiClients
from .files import MIMES, Files
from .ledger import NoRoomError
from .queue import JobState, KeyReusedError, Queue, QueueFullError, Selection
from .replies import Replies, Stored, Wait, wire_of
from .submits import Submits
from .uploads import PUT, Promises, UploadStore
from .webhooks import Secrets

if TYPE_CHECKING:
    from ..service import Service

log = logging.getLogger("upscale_bridge.server")

Answer = Reply | Wait | Stored

_STATES: dict[type, JobState] = {
    Queued: "queued",
    Running: "running",
    Done: "done",
    Failed: "failed",
}
_RETRY_AFTER = "5"
_OUT_OF_ORDER = "The server cannot do this at present; its log says why."


class App:
    """Answers calls; thread-safe."""

    def __init__(
        self,
        service: Service,
        queue: Queue,
        files: Files,
        customers: ApiClients,
        alive: Callable[[], int],
        webhook_keys: Secrets | None = None,
        fetch: Callable[[str], bytes] | None = None,
        *,
        substitute: bool = False,
        promises: Promises | None = None,
    ) -> None:
        """`service` knows the models, `alive` how many workers live, `webhook_keys`
        are the customers' secrets, `fetch` returns what lies at an address (without it none is
        fetched), `substitute` lets the shipped model stand in for known ones; `promises` of
        uploads may be those of several listeners."""
        self._secrets = webhook_keys
        self._queue, self._files = queue, files
        self._uploads, self._replies = UploadStore(files, promises), Replies(files)
        self._submits = Submits(
            service, queue, files, self._uploads, self._replies, fetch, substitute=substitute
        )
        self._customers, self._alive = customers, alive

    def admit(self, call: Call, sender: Sender, most_body: int) -> Admission | Answer:
        """Decide on the head of a call, its body not read yet: what may follow, or the answer.

        Names of headers are in lower case; `most_body` is the largest body in bytes.
        """
        try:
            path = urlsplit(call.url).path
        except ValueError:
            return _no_such_address()
        open_to_all = self._answer_without_key(call, path)
        if open_to_all is not None:
            return open_to_all
        try:
            if path.startswith(PUT) and call.method == "PUT":
                return self._uploads.admit(call, most_body)
            api = server_at(path)
            if path != "/status" and api is None:
                return _no_such_address()
            return admit(call, api, sender, self._customers, most_body)
        except UpscaleError as error:
            return _refuse(path, error)

    def handle(self, call: Call, customer: ApiClient, base_url: str) -> Answer:
        """Answer an admitted call; `base_url` is what its sender used."""
        path = urlsplit(call.url).path
        try:
            return self._answer(call, path, customer, base_url)
        except UpscaleError as error:
            return _refuse(path, error)

    def refuse(self, call: Call, status: int, message: str) -> Reply:
        """Return a refusal in the words of the API that a call is for."""
        return _refuse(urlsplit(call.url).path, RefusedError(status, message))

    def _answer_without_key(self, call: Call, path: str) -> Answer | None:
        """Return the answer to what everybody may ask for, None for anything else."""
        if call.method != "GET":
            return None
        if path == "/healthz":
            facts = {"service": "upscale-bridge", "version": __version__}
            return answer({**facts, "idempotent_submits": True})
        if path == "/readyz":
            ready = self._alive() > 0
            return answer({"ready": ready, **self._queue.counts()}, 200 if ready else 503)
        if path.startswith("/files/"):
            return self._send_file(path.removeprefix("/files/"))
        return status.page() if path == "/" else None

    def _answer(self, call: Call, path: str, customer: ApiClient, base_url: str) -> Answer:
        if path.startswith(PUT):
            return self._uploads.put(call)
        if path == "/status" and call.method == "GET":
            reply = answer(status.describe(self._queue, self._alive(), customer.name))
            return replace(reply, headers={**reply.headers, "cache-control": "no-store"})
        api = server_at(path)
        request = None if api is None else api.read(call)
        match request:
            case Submit():
                assert api is not None
                return self._submits.take(call, api, request, customer, base_url)
            case Poll():
                return self._poll(api, request.ticket, customer, base_url)
            case Delete():
                return self._delete(request, customer)
            case ListTasks():
                assert api is not None
                return self._list(api, request, customer, base_url)
            case Answered():
                return request.reply
            case AskUpload():
                return self._uploads.promise(request, customer, base_url)
            case PostUpload():
                return self._uploads.take(request, customer, base_url)
            case AskWebhookSecret() if self._secrets is not None:
                return request.write(self._secrets.of(customer.name))
        raise RefusedError(404, "This server does not have this address.")

    def _poll(
        self, api: ServerWire | None, ticket: str, customer: ApiClient, base_url: str
    ) -> Reply | Wait:
        job = self._queue.get(ticket) if ticket.isascii() else None
        own = job is not None and job.customer == customer.name
        if job is None or not own or wire_of(job) is not api:
            raise RefusedError(404, "This server knows no such task.")
        return self._replies.asked(job, base_url)

    def _list(
        self, api: ServerWire, request: ListTasks, customer: ApiClient, base_url: str
    ) -> Reply:
        state: JobState | None = None if request.status is None else _STATES[request.status]
        names = tuple(kind.__name__ for kind in request.operations or api.operations)
        span = request.since, request.until
        wanted = Selection(names, *span, request.parameters, state)
        skip = (request.page - 1) * request.size
        jobs = self._queue.page(customer.name, wanted, skip, request.size)
        return request.write([self._replies.listed(job, base_url) for job in jobs])

    def _delete(self, request: Delete, customer: ApiClient) -> Reply:
        for name in filter(str.isascii, request.tickets):
            job = self._queue.get(name)
            if job is not None and job.customer == customer.name:
                self._queue.remove(job.id)  # who works on it hears of it soon
                self._files.remove(job.source)
                self._files.remove(job.result)
                self._files.release(job.id)
        return request.reply

    def _send_file(self, name: str) -> Answer:
        found = self._files.open(name)
        if found is None:
            return answer({"code": 404, "message": "There is no such file, or no more."}, 404)
        mime = MIMES.get(Path(name).suffix, "application/octet-stream")
        return Stored(*found, {"content-type": mime, "x-content-type-options": "nosniff"})


def _refuse(path: str, error: UpscaleError) -> Reply:
    """Return what an error is answered, in the words of the API that the address belongs to."""
    match error:
        case RefusedError():
            status, message = error.status, str(error)
        case InvalidInputError():
            status, message = 400, str(error)
        case KeyReusedError():
            status, message = 409, str(error)
        case QueueFullError() | NoRoomError():
            status, message = 507 if path.startswith(PUT) else 429, str(error)
        case SettingsError():  # it may name folders of this machine
            log.exception("A request could not be served.")
            status, message = 503, _OUT_OF_ORDER
        case _:
            raise error
    api = server_at(path)
    if api is None:
        reply = answer({"code": status, "message": message}, status)
    else:
        reply = api.write_error(status, message)
    more = {"retry-after": _RETRY_AFTER} if status == 429 else {}
    return replace(reply, headers={**reply.headers, **more})


def _no_such_address() -> Reply:
    return answer({"code": 404, "message": "This server does not have this address."}, 404)
