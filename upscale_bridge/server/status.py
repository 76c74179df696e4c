"""The status page, and the facts that it shows."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from statistics import median

from ..contract.http import Json, Reply
from ..vendors import OPERATIONS
from .queue import Job, Queue
from .replies import models_of

_PAGE = Path(__file__).parent / "page" / "index.html"
_HOUR = 3600.0
_SHOWN = 50
_INLINE = re.compile(rb"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)


def describe(queue: Queue, workers_alive: int, customer: str) -> Json:
    """Return what GET /status answers: the whole server's load, and a customer's own tasks.

    Times are in seconds since 1970; `now` is the queue's, so that ages need no other clock.
    """
    took = queue.durations(_HOUR)
    return {
        "now": queue.time(),
        "queue": queue.counts(),
        "workers_alive": workers_alive,
        "workers": [
            {
                "machine": one.machine,
                "device": one.device,
                "version": one.version,
                "models": one.models,
                "working": bool(one.job),
                "since": one.since,
                "busy_seconds": round(one.busy, 1),
                "done": one.done,
            }
            for one in queue.workers()
        ],
        "last_hour": {
            "finished": len(took),
            "median_seconds": round(median(took), 3) if took else None,
        },
        "tasks": [_task(job) for job in queue.latest(customer, _SHOWN)],
    }


@cache
def page() -> Reply:
    """Return the page; its policy allows the page's own script and style, and nothing foreign."""
    body = _PAGE.read_bytes().replace(b"\r\n", b"\n")
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(body):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        hashes[kind.decode()].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; "
        f"style-src {' '.join(hashes['style'])}; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-cache",
    }
    return Reply(200, body, headers)


def _task(job: Job) -> Json:
    parameters = json.loads(job.parameters)
    return {
        "id": job.id,
        "operation": _title(job),
        "model": _model(job, parameters),
        "state": job.state,
        "size": [job.width, job.height],
        "result_size": _result_size(job, parameters),
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "progress": job.fraction,
        "source": job.source,
        "result": job.result,
        "reason": job.reason,
    }


def _model(job: Job, parameters: Json) -> str:
    """Return which model was asked for, and those that stand in."""
    names = ("model_name", "upscaler_1", "model")
    asked = next((str(parameters[name]) for name in names if parameters.get(name)), "")
    others = [used for name, used in models_of(job).items() if used != name]
    return f"{asked} ({', '.join(dict.fromkeys(others))})" if others else asked


def _title(job: Job) -> str:
    return next((kind.title for kind in OPERATIONS if kind.__name__ == job.operation), "")


def _result_size(job: Job, parameters: Json) -> list[int] | None:
    """Return the size that was asked for, None when it is not known."""
    kind = next((kind for kind in OPERATIONS if kind.__name__ == job.operation), None)
    if kind is None or not (job.width and job.height):
        return None
    return list(kind(**parameters).target(job.width, job.height))
