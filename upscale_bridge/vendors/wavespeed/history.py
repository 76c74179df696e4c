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
    from .operation import WaveSpeedOperation

PATH = ROOT + "predictions"
_PAGE = 100  # the most that the vendor gives
_FILES = ("image", "video")


class WaveSpeedHistory(History):
    """POST /api/v3/predictions."""

    def ask(self, operation: WaveSpeedOperation, since: float, until: float, page: int) -> Call:
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

    def compare(self, operation: WaveSpeedOperation, paid: Call, task: PastTask) -> Likeness:
        said, known = {**operation.unsaid, **table(json.loads(paid.body))}, task.inputs
        files = [name for name in _FILES if name in said]
        # Switches that only shape the answer may be missing in the list.
        told = {name for name in said if name not in files and said[name] is not None}
        if any(not _alike(known.get(name, said[name]), said[name]) for name in told):
            return "other"
        sent, found = (" ".join(str(one.get(name, "")) for name in files) for one in (said, known))
        if sent == found:
            return "same"
        return "other" if _origin(sent) == _origin(found) else "unclear"


def _alike(listed: object, said: object) -> bool:
    """Tell whether two values are one; the list may hold 4 as 4.0 or as a text."""
    return listed == said or str(listed).lower() == str(said).lower()


def _origin(file: str) -> str:
    """Return where a file lies; the list may name another place than its submit did."""
    return "data:" if file.startswith("data:") else urlsplit(file).netloc
