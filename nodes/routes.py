"""All routes of the page, below /upscale_bridge."""

from __future__ import annotations

from . import advice_routes, key_routes, model_routes, offer_routes, task_routes
from .http import Handler, guarded

ROUTES: dict[tuple[str, str], Handler] = {
    route: guarded(handler)
    for part in (key_routes, advice_routes, model_routes, offer_routes, task_routes)
    for route, handler in part.ROUTES.items()
}


def register() -> None:
    """Add the routes to ComfyUI's server, where there is one."""
    try:
        from server import PromptServer
    except ImportError:  # imported without ComfyUI
        return
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        for (method, path), handler in ROUTES.items():
            getattr(server.routes, method.lower())(path)(handler)
