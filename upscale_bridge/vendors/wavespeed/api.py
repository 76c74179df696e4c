"""What all of WaveSpeed's v3 API shares: the envelope and the states of a task.

Facts: https://wavespeed.ai/docs (get-result, sync-mode, error-codes).
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ...contract.http import Json, Reply
from ...contract.reading import listed, read_output, table, whole
from ...contract.tasks import Done, Failed, Output, Queued, Running, Status
from ...contract.vendor import Vendor

WAVESPEED = Vendor(
    name="wavespeed",
    title="WaveSpeed",
    base_url="https://api.wavespeed.ai",
    key_page="https://wavespeed.ai/accesskey",
    free_call="/api/v3/balance",  # the official CLI's
    first_poll=2.0,  # the vendor asks for at least two seconds between looks
)
ROOT = "/api/v3/"
DELETE = f"{ROOT}predictions/delete"
STILL_RUNNING = 5004
"""The code of a task whose submit waited long enough in sync mode; it goes on (docs/sync-mode)."""
_DONE = {"completed", "succeeded", "success", "done"}
_FAILED = {"failed", "error", "cancelled", "canceled", "timeout", "deleted"}
_REFUSALS = {1200, 1400, 1401, 1402}  # content, parameters, image address (docs/error-codes)


def read_data(reply: Reply, vendor: Vendor = WAVESPEED) -> Json:
    """Return the envelope's data; some errors arrive as HTTP 200 with another code inside.

    Errors are in the words of the `vendor` who answers.
    """
    return table(_read_envelope(reply, vendor))


def read_data_list(reply: Reply, vendor: Vendor = WAVESPEED) -> list[Any]:
    """Return the envelope's data where they are a list."""
    data = _read_envelope(reply, vendor)
    return listed(data if isinstance(data, list) else table(data).get("items"))


def _read_envelope(reply: Reply, vendor: Vendor) -> Any:
    if not 200 <= reply.status < 300:
        vendor.refuse(reply, str(reply.fields().get("message") or ""))
    body = reply.json()
    code = whole(body.get("code"), default=200)
    if not 200 <= code < 300:
        status = 400 if code in _REFUSALS else code
        vendor.refuse(Reply(status), str(body.get("message") or ""))
    return body.get("data")


def read_status(data: Json) -> Status:
    """Return the status of a task that an envelope's data tell of."""
    word = str(data.get("status", "")).lower()
    code = whole(data.get("code"))
    if word in _DONE:
        flags = listed(data.get("has_nsfw_contents"))
        outputs = [read_output(item) for item in listed(data.get("outputs"))]
        return Done(
            tuple(
                Output(o.url, o.data, flagged=index < len(flags) and flags[index] is True)
                for index, o in enumerate(outputs)
                if o.url or o.data
            )
        )
    if word in _FAILED and code != STILL_RUNNING:
        return Failed(str(data.get("error") or "no reason given"), str(code or ""))
    return Queued() if word in ("created", "queued", "pending") else Running()


def moment(seconds: float) -> str:
    """Return a time, seconds since 1970, as the API writes it."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def read_moment(text: object) -> float | None:
    """Return a time in seconds since 1970, None for what is none."""
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None
