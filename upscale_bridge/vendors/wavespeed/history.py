"""WaveSpeed's list of predictions.

Facts: `history` of the official CLI 0.2.2 and list_predictions of the vendor's MCP server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...contract.history import History, HistoryPage, Likeness, PastTask
from ...contract.http import Call, Reply, post
from ...contract.reading import as_id, listed, table
from .api import ROOT, moment, read_data, read_moment

if TYPE_CHECKING:
    from ...contract.operation import RemoteOperation

PATH = ROOT + "predictions"
_PAGE = 100  # the most that the vendor gives


class WaveSpeedHistory(History):
    """POST /api/v3/predictions."""

    def ask(self, operation: RemoteOperation, since: float, until: float, page: int) -> Call:
        body = {
            "page": page,
            "page_size": _PAGE,
            "created_after": moment(since),
            "created_before": moment(until),
            "model": operation.own_model,
            "include_inputs": True,
        }
        return post(PATH, body)

    def read(self, reply: Reply) -> HistoryPage:
        items = [table(item) for item in listed(read_data(reply).get("items"))]
        tasks = (
            PastTask(
                as_id(item.get("id")),
                table(item.get("inputs") or item.get("input")),
                read_moment(item.get("created_at")),
            )
            for item in items
        )
        return HistoryPage(tuple(task for task in tasks if task.ticket), len(items) < _PAGE)

    def compare(self, paid: Call, task: PastTask) -> Likeness:
        said = {"creativity": 0, **table(json.loads(paid.body))}
        # Switches that only shape the answer may be missing in the list; 0 is not said.
        known = {**task.inputs, "creativity": task.inputs.get("creativity") or 0}
        if any(known.get(name, value) != value for name, value in said.items() if name != "image"):
            return "other"
        sent, listed_image = str(said["image"]), str(known.get("image", ""))
        if sent == listed_image:
            return "same"
        return "other" if _origin(sent) == _origin(listed_image) else "unclear"


def _origin(image: str) -> str:
    """Return where an image lies; the list may name another place than its submit did."""
    return "data:" if image.startswith("data:") else urlsplit(image).netloc
