"""The tasks of this machine, for the page's panel.

GET  /upscale_bridge/tasks                      the newest tasks
GET  /upscale_bridge/tasks/{request}/thumbnail  JPEG of a result, unless it is a video
GET  /upscale_bridge/tasks/{request}/result     a result as the service made it
POST /upscale_bridge/tasks/resume               {"request"}: fetch the result; free
POST /upscale_bridge/tasks/forget               {"request"}: remove task and kept result
POST /upscale_bridge/tasks/attach               {"request", "ticket"}: end a doubt

Event `upscale_bridge.tasks`: something has changed; ask again.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.contract.operation import RemoteOperation
from ..upscale_bridge.errors import InvalidInputError, UpscaleError
from ..upscale_bridge.images.videos import MIMES
from ..upscale_bridge.remote.journal import Journal
from ..upscale_bridge.remote.run import ResumeTask
from ..upscale_bridge.remote.task import Task
from ..upscale_bridge.vendors import operation_named
from . import host
from .http import PREFIX, answer, asking, telling

if TYPE_CHECKING:
    from aiohttp import web

EVENT = "upscale_bridge.tasks"
_MOST = 100
_SIDE = 256
_NEWS_SECONDS = 0.3
_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
_TYPES = {**_PICTURES, **{f".{format}": mime for format, mime in MIMES.items()}}


def describe() -> Json:
    """Return the newest tasks, without keys and addresses."""
    _listen()
    return {"tasks": [_told(task) for task in _journal().all()[:_MOST]]}


def _told(task: Task) -> Json:
    kind = operation_named(task.operation)
    return {
        "request": task.request,
        "ticket": task.ticket,
        "state": task.state,
        "title": kind.title,
        "media": kind.media,
        "has_tickets": kind.has_tasks(),
        "input_size": [task.width, task.height],
        "created": task.created,
        "finished": task.finished,
        "reason": task.reason,
        "price": _price(kind, task),
        "result": bool(task.result),
    }


def resume(body: Json) -> Json:
    """Fetch a result in the background."""
    task = _task(body)
    wanted = ResumeTask(task_id=task.request)

    def fetch() -> None:
        try:
            if operation_named(task.operation).media == "video":
                host.service().resume_video(wanted, lambda kept: None)
            else:
                host.service().resume(wanted)
        except UpscaleError as error:
            host.tell_page(EVENT, {"request": task.request, "error": str(error)})
        else:
            host.tell_page(EVENT, {})

    threading.Thread(target=fetch, daemon=True).start()
    return {}


def forget(body: Json) -> Json:
    """Remove a task and its result."""
    _journal().forget(_task(body).request)
    return {}


def attach(body: Json) -> Json:
    """Give an ambiguous task the id that its user found at the service."""
    host.service().client.attach(_task(body).request, str(body.get("ticket", "")).strip())
    return resume(body)


async def result(request: web.Request) -> web.StreamResponse:
    """Send a result file as it is."""
    from aiohttp import web

    path = await asyncio.to_thread(_file, request)
    if path is None:
        return answer({"error": "There is no such result."}, 404)
    kind = {"Content-Type": _TYPES[path.suffix], "X-Content-Type-Options": "nosniff"}
    return web.FileResponse(path, headers=kind)


async def thumbnail(request: web.Request) -> web.StreamResponse:
    """Send a small JPEG of a result."""
    from aiohttp import web

    path = await asyncio.to_thread(_file, request)
    if path is None or path.suffix not in _PICTURES:
        return answer({"error": "There is no such picture."}, 404)
    try:
        data = await asyncio.to_thread(_small, path)
    except UpscaleError as error:
        return answer({"error": str(error)}, 404)
    return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private"})


def _price(kind: type[RemoteOperation], task: Task) -> Json | None:
    if task.base_url != kind.vendor.base_url:  # another host has other prices
        return None
    try:
        price = kind(**json.loads(task.parameters)).price
    except (InvalidInputError, TypeError):  # written down by another version
        return None
    return asdict(price) if price else None


def _journal() -> Journal:
    return host.service().client.journal


def _task(body: Json) -> Task:
    task = _journal().get(str(body.get("request", "")))
    if task is None:
        raise InvalidInputError("request", "There is no such task any more.")
    return task


def _file(request: web.Request) -> Path | None:
    """Return the result file of the task that an address names."""
    task = _journal().get(request.match_info["request"])
    path = _journal().results / task.result if task is not None and task.result else None
    return path if path is not None and path.suffix in _TYPES and path.exists() else None


@lru_cache(maxsize=2 * _MOST)
def _small(path: Path) -> bytes:
    from ..upscale_bridge.images import codecs
    from ..upscale_bridge.images.resample import resize

    pixels = codecs.decode(path.read_bytes(), "the result", codecs.RESULT_FORMATS).pixels
    height, width = pixels.shape[:2]
    factor = min(_SIDE / max(width, height), 1.0)
    small = resize(pixels, max(round(width * factor), 1), max(round(height * factor), 1))
    if small.shape[-1] in (2, 4):
        small = small[..., :-1]
    return codecs.encode(small, "jpeg", quality=85).data


@lru_cache(maxsize=1)
def _listen() -> None:
    """Tell the page of changes from now on, those of a moment together."""
    waiting = threading.Lock()

    def tell() -> None:
        waiting.release()
        host.tell_page(EVENT, {})

    def changed() -> None:
        if waiting.acquire(blocking=False):
            timer = threading.Timer(_NEWS_SECONDS, tell)
            timer.daemon = True
            timer.start()

    _journal().listeners.append(changed)


ROUTES: dict[tuple[str, str], Any] = {
    ("GET", f"{PREFIX}/tasks"): asking(describe),
    ("GET", f"{PREFIX}/tasks/{{request}}/thumbnail"): thumbnail,
    ("GET", f"{PREFIX}/tasks/{{request}}/result"): result,
    ("POST", f"{PREFIX}/tasks/resume"): telling(resume),
    ("POST", f"{PREFIX}/tasks/forget"): telling(forget),
    ("POST", f"{PREFIX}/tasks/attach"): telling(attach),
}
