"""What all operations of WaveSpeed share: a model, its inputs, and the file that it is given.

Facts: https://wavespeed.ai/docs (submit-task, get-result, sync-mode).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import quote

from ...contract.history import History
from ...contract.http import Call, Json, Reply, post
from ...contract.operation import RemoteOperation, Way
from ...contract.pricing import Pricing
from ...contract.tasks import Done, Source, Status, Ticket
from ...contract.uploads import Uploads
from ...contract.vendor import Vendor
from ...contract.wire import TaskWire, Wire
from .api import ROOT, WAVESPEED, read_data, read_status
from .history import WaveSpeedHistory
from .pricing import WaveSpeedPricing
from .uploads import WaveSpeedUploads

LARGEST_FILE = 200_000_000
"""Bytes; https://wavespeed.ai/docs/upload-files-api."""


class WaveSpeedWire(TaskWire):
    """POST /api/v3/{model} and GET /api/v3/predictions/{id}/result."""

    ticket_path = ("data", "id")

    def __init__(self, vendor: Vendor = WAVESPEED) -> None:
        """`vendor` is who answers, for the words of errors."""
        self._vendor = vendor

    def submit(self, operation: WaveSpeedOperation, source: Source) -> Call:
        # Models take a file by the name of its kind.
        return post(ROOT + operation.own_model, {operation.media: source.text, **operation.inputs})

    def read_submit(self, reply: Reply) -> Ticket | Done:
        data = read_data(reply, self._vendor)
        ticket = self._vendor.required_id(data, "id")
        status = read_status(data)
        if isinstance(status, Done) and status.outputs:
            return replace(status, ticket=ticket)
        return Ticket(ticket)

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{ROOT}predictions/{quote(ticket, safe='')}/result")

    def read_poll(self, reply: Reply) -> Status:
        return read_status(read_data(reply, self._vendor))


@dataclass(frozen=True, kw_only=True)
class WaveSpeedOperation(RemoteOperation):
    """One run of one of the vendor's models; the parameter `model` names it."""

    vendor: ClassVar[Vendor] = WAVESPEED
    wire: ClassVar[Wire] = WaveSpeedWire()
    uploads: ClassVar[Uploads | None] = WaveSpeedUploads()
    history: ClassVar[History | None] = WaveSpeedHistory()
    pricing: ClassVar[Pricing | None] = WaveSpeedPricing()

    unsaid: ClassVar[Json] = {}
    """Inputs that a submit leaves out where they have these values."""

    @property
    def own_model(self) -> str:
        model: str = getattr(self, "model")  # noqa: B009 (each operation declares its own choices)
        return model

    def ways(self) -> tuple[Way, ...]:
        return ("upload", "data_uri")
