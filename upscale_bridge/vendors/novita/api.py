"""What all of Novita's asynchronous v3 API shares: tickets, polls and errors.

Facts: https://novita.ai/docs/api-reference/model-apis-task-result and .../basic-error-code.
"""

from __future__ import annotations

from urllib.parse import quote

from ...contract.http import Call, Reply
from ...contract.reading import listed, table, whole
from ...contract.tasks import Done, Failed, Output, Queued, Running, Status, Ticket
from ...contract.vendor import Vendor
from ...contract.wire import TaskWire

NOVITA = Vendor(
    name="novita",
    title="Novita",
    base_url="https://api.novita.ai",
    key_page="https://novita.ai/settings/key-management",
    free_call="/v3/user",  # user_info() of novita-client 0.7.1
)
RESULT = "/v3/async/task-result"


class NovitaWire(TaskWire):
    """What all v3 endpoints share: tickets, polls and errors."""

    ticket_path = ("task_id",)

    def read_submit(self, reply: Reply) -> Ticket | Done:
        if not 200 <= reply.status < 300:
            _refuse(reply)
        return Ticket(NOVITA.required_id(reply.json(), "task_id"))

    def poll(self, ticket: str) -> Call:
        return Call("GET", f"{RESULT}?task_id={quote(ticket, safe='')}")

    def read_poll(self, reply: Reply) -> Status:
        if reply.status != 200:
            _refuse(reply)
        body = reply.json()
        task = table(body.get("task"))
        match str(task.get("status", "")).upper().removeprefix("TASK_STATUS_"):
            case "SUCCEED" | "SUCCEEDED" | "SUCCESS":
                outputs = map(_output, listed(body.get("images")))
                return Done(tuple(output for output in outputs if output.url))
            case "FAILED" | "CANCELED" | "CANCELLED" | "TIMEOUT":
                return Failed(str(task.get("reason") or "no reason given"))
            case "QUEUED":
                return Queued()
        percent = whole(task.get("progress_percent"))
        return Running(min(percent, 100) / 100 if percent > 0 else None)


def _refuse(reply: Reply) -> None:
    said = reply.fields()
    NOVITA.refuse(reply, str(said.get("message") or ""), str(said.get("reason") or ""))


def _output(item: object) -> Output:
    fields = table(item)
    found = fields.get("nsfw_detection_result")
    flagged = bool(table(found).get("valid")) if isinstance(found, dict) else found is True
    url = fields.get("image_url")
    return Output(url=url if isinstance(url, str) else "", flagged=flagged)
