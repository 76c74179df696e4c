"""What all routes of the page share: who may call, how bodies are read, how answers look."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..upscale_bridge.errors import UpscaleError

if TYPE_CHECKING:
    from aiohttp import web

Json = dict[str, Any]
Handler = Callable[["web.Request"], Awaitable["web.Response"]]

PREFIX = "/upscale_bridge"
_LARGEST = 16_384


def asking(work: Callable[[], Json]) -> Handler:
    """Return the handler of a GET that `work` answers, on a thread of its own."""

    async def handle(request: web.Request) -> web.Response:
        return await _told(work)

    return handle


def telling(work: Callable[[Json], Json]) -> Handler:
    """Return the handler of a POST of JSON from ComfyUI's own page."""

    async def handle(request: web.Request) -> web.Response:
        refusal = refuse(request)
        if refusal:
            return answer({"error": refusal}, 403)
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
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def refuse(request: web.Request) -> str:
    """Return why a request may not change anything, empty when it may.

    Other sites could make a browser send a form, but not JSON without asking first.
    """
    if request.content_type != "application/json":
        return "Send application/json."
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.headers.get("Host"):
        return "This is for ComfyUI's own page only."
    return ""


def is_here(request: web.Request) -> bool:
    """Tell whether a request comes from this machine, by a name of this machine."""
    if any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP")):
        return False
    try:
        host_name = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return False
    # A foreign name that leads to this machine would be another site's (DNS rebinding).
    return _is_loopback(request.remote or "") and _is_loopback(host_name)


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address

    if address == "localhost":
        return True
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def answer(body: Json, status: int = 200) -> web.Response:
    """Return an answer that no cache keeps."""
    from aiohttp import web

    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
