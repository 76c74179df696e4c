"""The page's way to set keys: write-only, it never learns one.

GET  /upscale_bridge/keys          which keys are set
POST /upscale_bridge/keys          {"name": "novita", "key": "..."}; an empty key removes it
POST /upscale_bridge/keys/test     {"name": "novita"}; asks the service, which costs nothing

Event `upscale_bridge.keys`: a key was set or removed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..upscale_bridge.contract.http import Json
from ..upscale_bridge.contract.vendor import Vendor
from ..upscale_bridge.errors import InvalidInputError, UpscaleError
from ..upscale_bridge.vendors import VENDORS
from . import host
from .http import PREFIX, Handler, answer, is_here, read, telling

if TYPE_CHECKING:
    from aiohttp import web

EVENT = "upscale_bridge.keys"


def describe(*, hints: bool = True) -> Json:
    """Return what the page may know: never more than a key's last characters, if `hints`."""
    keys, rows = host.keys(), []
    for vendor in VENDORS:
        found = keys.find(vendor.name)
        rows.append(
            {
                "name": vendor.name,
                "title": vendor.title,
                "variable": vendor.key_variable,
                "page": vendor.key_page,
                "origin": found.origin if found else None,
                "hint": found.secret.hint if found and hints else None,
            }
        )
    return {"keys": rows}


async def show(request: web.Request) -> web.Response:
    """Tell which keys are set."""
    try:
        return answer(await asyncio.to_thread(describe, hints=is_here(request)))
    except UpscaleError as error:
        return answer({"error": str(error)}, 400)


async def change(request: web.Request) -> web.Response:
    """Set or remove a key."""
    refusal = _refuse_far(request)
    if refusal:
        return answer({"error": refusal}, 403)
    body = await read(request)
    if body is None or not isinstance(body.get("key"), str):
        return answer({"error": 'Send {"name": "novita", "key": "..."}.'}, 400)
    try:
        name, key = _provider(body).name, str(body["key"])
        if key.strip():
            await asyncio.to_thread(host.keys().set, name, key)
        else:
            await asyncio.to_thread(host.keys().remove, name)
        host.tell_page(EVENT, {})
        return answer(describe(hints=is_here(request)))
    except UpscaleError as error:
        return answer({"error": str(error)}, 400)


def test(body: Json) -> Json:
    """Return what the service says about the key that is set."""
    return {"text": host.service().client.hosts.try_key(_provider(body))}


def _provider(body: Json) -> Vendor:
    for vendor in VENDORS:
        if vendor.name == body.get("name"):
            return vendor
    raise InvalidInputError("name", "There is no vendor of that name.")


def _refuse_far(request: web.Request) -> str:
    """Return why a request from another machine may not set keys, empty when it may."""
    if is_here(request) or host.service().client.settings().keys_over_network:
        return ""
    return (
        "Keys are set from the machine that runs ComfyUI only. There, use this dialog, "
        "`upscale-bridge keys set NAME` or environment variables; or allow it, where you trust "
        'everyone in the network, with "keys_over_network": true in settings.json.'
    )


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", f"{PREFIX}/keys"): show,
    ("POST", f"{PREFIX}/keys"): change,
    ("POST", f"{PREFIX}/keys/test"): telling(test),
}
