"""The page's way to set keys: write-only, it never learns one.

GET  /upscale_bridge/keys          which keys are set
POST /upscale_bridge/keys          {"name": "novita", "key": "..."}; an empty key removes it
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..upscale_bridge.errors import UpscaleError
from ..upscale_bridge.remote.providers import PROVIDERS
from . import host

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger("upscale_bridge")

PATH = "/upscale_bridge/keys"
_LARGEST = 4096


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    try:
        from server import PromptServer
    except ImportError:  # imported without ComfyUI
        return
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.get(PATH)(_show)
        server.routes.post(PATH)(_change)


def describe(*, hints: bool = True) -> dict[str, Any]:
    """Return what the page may know: never more than a key's last characters, if `hints`."""
    keys, rows = host.keys(), []
    for provider in PROVIDERS:
        found = keys.find(provider.name)
        rows.append(
            {
                "name": provider.name,
                "title": provider.title,
                "variable": provider.key_variable,
                "page": provider.key_page,
                "origin": found.origin if found else None,
                "hint": found.secret.hint if found and hints else None,
            }
        )
    return {"keys": rows}


async def _show(request: web.Request) -> web.Response:
    try:
        return _answer(describe(hints=_is_here(request)))
    except UpscaleError as error:
        return _answer({"error": str(error)}, 400)


async def _change(request: web.Request) -> web.Response:
    refusal = _refusal(request)
    if refusal:
        return _answer({"error": refusal}, 403)
    try:
        body = json.loads(await _read(request))
        name, key = body["name"], body["key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _answer({"error": 'Send {"name": "novita", "key": "..."}.'}, 400)
    if name not in [provider.name for provider in PROVIDERS] or not isinstance(key, str):
        return _answer({"error": "There is no provider of that name."}, 400)
    try:
        if key.strip():
            host.keys().set(name, key)
        else:
            host.keys().remove(name)
        return _answer(describe())
    except UpscaleError as error:
        return _answer({"error": str(error)}, 400)


async def _read(request: web.Request) -> bytes:
    """Return the body, which may come in pieces; of a large one only the beginning."""
    body = b""
    async for part in request.content.iter_chunked(_LARGEST):
        body += part
        if len(body) > _LARGEST:
            return b""
    return body


def _refusal(request: web.Request) -> str:
    """Return why this request may not change keys, empty when it may.

    Other sites could make a browser send a form, but not JSON without asking first.
    """
    if request.content_type != "application/json":
        return "Send application/json."
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.headers.get("Host"):
        return "Keys are set from ComfyUI's own page only."
    if not _is_here(request):
        return (
            "Keys are set from the machine that runs ComfyUI only; there, use this dialog, "
            "`upscale-bridge keys set NAME` or environment variables."
        )
    return ""


def _is_here(request: web.Request) -> bool:
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
    """Tell whether an address or host name is this machine itself."""
    from ipaddress import ip_address

    if address == "localhost":
        return True
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _answer(body: dict[str, Any], status: int = 200) -> web.Response:
    from aiohttp import web

    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
