"""Acme's API: a submit that names a task, and a status with the result's address.

Facts: https://docs.acme.example/upscale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

from ..contract.fields import address_or_data, make, read_body
from ..contract.http import Call, Json, Reply, answer, post
from ..contract.operation import RemoteOperation, Way
from ..contract.reading import read_output
from ..contract.registry import VendorEntry
from ..contract.server import Poll, Request, ServedTask, Submit, TaskServerWire
from ..contract.tasks import Done, Failed, Queued, Running, Source, Status, Ticket
from ..contract.vendor import Vendor
from ..contract.wire import TaskWire, Wire
from ..params import param

ACME = Vendor(
    name="acme",
    title="Acme",
    base_url="https://api.acme.example",
    key_page="https://acme.example/keys",
)
_TASKS = "/acme/v1/upscales"


def _read(reply: Reply) -> Json:
    if reply.status != 200:
        ACME.refuse(reply, str(reply.fields().get("error") or ""))
    return reply.json()


class AcmeWire(TaskWire):
    """A POST that names a task, and a GET that tells of it."""

    ticket_path = ("id",)

    def submit(self, operation: AcmeUpscale, source: Source) -> Call:
        return post(_TASKS, {"image": source.text, "scale": int(operation.scale)})

    def read_submit(self, reply: Reply) -> Ticket:
        return Ticket(ACME.required_id(_read(reply), "id"))

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{_TASKS}/{quote(ticket, safe='')}")

    def read_poll(self, reply: Reply) -> Status:
        fields = _read(reply)
        word = fields.get("status")
        if word == "done":
            output = read_output(fields.get("url"))
            return Done((output,) if output.url or output.data else ())
        if word == "failed":
            return Failed(str(fields.get("error") or "no reason given"))
        return Queued() if word == "queued" else Running()


@dataclass(frozen=True)
class AcmeUpscale(RemoteOperation):
    """Enlarge images two or four times with Acme, or a host that speaks its API."""

    title: ClassVar[str] = "Acme Upscale"
    vendor: ClassVar[Vendor] = ACME
    wire: ClassVar[Wire] = AcmeWire()
    command: ClassVar[str] = "acme"
    size_parameter: ClassVar[str] = "scale"

    scale: str = param("2", "Size of the result relative to the input.", choices=("2", "4"))

    def ways(self) -> tuple[Way, ...]:
        return ("data_uri",)

    def factor(self, width: int, height: int) -> float:
        return float(self.scale)


class AcmeServer(TaskServerWire):
    """The same two calls, answered."""

    roots = ("/acme/",)
    operations = (AcmeUpscale,)
    lifetime = 86_400.0

    def read(self, call: Call) -> Request | None:
        path = urlsplit(call.url).path
        if call.method == "POST" and path == _TASKS:
            body = read_body(call)
            return Submit(make(AcmeUpscale, body), address_or_data(body))
        head, _, ticket = path.rpartition("/")
        return Poll(unquote(ticket)) if call.method == "GET" and head == _TASKS else None

    def write_submit(self, task: ServedTask) -> Reply:
        return answer({"id": task.ticket})

    def write_status(self, task: ServedTask, status: Status) -> Reply:
        match status:
            case Done(outputs):
                return answer({"status": "done", "url": outputs[0].url if outputs else ""})
            case Failed(reason):
                return answer({"status": "failed", "error": reason})
        return answer({"status": "queued" if isinstance(status, Queued) else "running"})

    def write_error(self, status: int, message: str) -> Reply:
        return answer({"error": message}, status)


ENTRY = VendorEntry(ACME, (AcmeUpscale,), (AcmeServer(),))
