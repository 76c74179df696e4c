"""What all routes of the page share: who may call, how bodies are read, how answers look."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.contract.reading import is_unicode
from ..upscale_bridge.errors import UpscaleError
from ..upscale_bridge.network.origins import collect, is_json, is_local, refuse_cross_site

if TYPE_CHECKING:
    from aiohttp import web

Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]

PREFIX = "/upscale_bridge"
_LARGEST = 16_384


def guarded(handler: Handler) -> Handler:
    """Return the handler, for ComfyUI's own page and for programs, not for other sites' pages.

    These may not even read: ComfyUI can be told to let them (--enable-cors-header). They could make
    a browser send a form, but not JSON without asking first.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = collect(request.headers.items())
        if request.method == "POST" and not is_json(headers):
            return answer({"error": "Send application/json."}, 403)
        refusal = refuse_cross_site(headers, request.scheme)
        return answer({"error": refusal}, 403) if refusal else await handler(request)

    return handle


def asking(work: Callable[[], Json]) -> Handler:
    """Return the handler of a GET that `work` answers, on a thread of its own."""

    async def handle(request: web.Request) -> web.Response:
        return await _told(work)

    return handle


def telling(work: Callable[[Json], Json]) -> Handler:
    """Return the handler of a POST of JSON."""

    async def handle(request: web.Request) -> web.Response:
        body = await read(request)
        if body is None:
            return answer({"error": "Send a JSON object."}, 400)
        return await _told(lambda: work(body))

    return handle


async def _told(work: Callable[[], Json]) -> web.Response:
    try:
        return answer(await asyncio.to_thread(work))
    except UpscaleError as error:
        return answer({"error": str(error)}, 400)


async def read(request: web.Request) -> Json | None:
    """Return the JSON object that a request carries, in one piece or several; else None."""
    data = b""
    async for part in request.content.iter_chunked(_LARGEST):
        data += part
        if len(data) > _LARGEST:
            return None
    try:
        found = json.loads(data.decode())
        sound = isinstance(found, dict) and is_unicode(found)
    except (ValueError, RecursionError):
        return None
    return found if sound else None


def is_here(request: web.Request) -> bool:
    """Tell whether a request comes from this machine, by a name of this machine."""
    return is_local(request.remote, collect(request.headers.items()), request.scheme)


def answer(body: Json, status: int = 200) -> web.Response:
    """Return an answer that no cache keeps."""
    from aiohttp import web

    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
