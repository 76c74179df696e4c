"""The server's sockets: an ASGI application around `App`, and its processes.

Imported only by `serve`: its packages are the extra [server].
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from ..errors import SettingsError
from ..network.transport import fetch_public, post_public
from ..service import Service
from . import worker
from .api_clients import ApiClients
from .app import App
from .bodies import PIECE_SECONDS
from .bounds import Bounds
from .endpoint import Endpoint
from .files import Files, FolderFiles
from .protocol import Protocol
from .queue import Queue
from .replies import Replies
from .sqlite_queue import SqliteQueue
from .uploads import Promises
from .webhooks import Secrets, Webhooks
from .workers import Workers

log = logging.getLogger("upscale_bridge.server")


@dataclass(frozen=True)
class Options:
    """How the server is run."""

    folder: Path
    """Where queue and files lie."""
    keys: Path
    """The keys file; without one every key is accepted, from programs on this machine only."""
    host: str = "127.0.0.1"
    port: int = 8190
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients call the server, besides its own address; they need keys."""
    devices: tuple[str, ...] = ("auto",)
    """One worker for each."""
    most_waiting: int = 1000
    """Longest queue, jobs."""
    most_bytes: int = 20 << 30
    """Disk quota of images and results."""
    most_body: int = 64 << 20
    """Largest body of a request, and largest image at an address, bytes."""
    fetch_addresses: bool = False
    """Fetch images from public addresses that clients name."""
    substitute: bool = False
    """Let the shipped model stand in for known models that are not here."""
    bounds: Bounds = field(default_factory=Bounds)
    """What one task may take."""

    @property
    def keys_required(self) -> bool:
        """Whether others than the programs of this machine reach the server."""
        return not _is_loopback(self.host) or bool(self.allowed_hosts)


def customers_of(options: Options) -> ApiClients:
    """Return who may call; raises `SettingsError` where that would be everybody."""
    customers = ApiClients(options.keys, required=options.keys_required)
    if options.keys_required and not customers.names():
        name = options.allowed_hosts[0] if options.allowed_hosts else options.host
        raise SettingsError(
            f"As {name} others could use this server; make a key for each of them first: "
            "`upscale-bridge server-keys add NAME`."
        )
    return customers


def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises `SettingsError`."""
    folder = options.folder
    queue = SqliteQueue(folder, options.most_waiting)
    files = FolderFiles(folder / "files", options.most_bytes)
    files.settle()
    secrets = Secrets(folder / "webhook-secret")
    work = functools.partial(worker.work, folder, options.most_bytes)
    workers = Workers(work, queue, options.devices, options.bounds)
    listen(options, Parts(queue, files, secrets, Promises(), workers.alive), workers)


@dataclass(frozen=True)
class Parts:
    """What a listener works with: its own things, or those that it shares with others."""

    queue: Queue
    files: Files
    secrets: Secrets
    promises: Promises
    alive: Callable[[], int]
    """How many workers live."""


def listen(options: Options, parts: Parts, beside: AbstractContextManager[object]) -> None:
    """Answer calls until SIGTERM or SIGINT; `beside` is entered for that time."""

    def fetch(url: str) -> bytes:
        return fetch_public(url, options.most_body, PIECE_SECONDS)

    queue = parts.queue
    app = App(
        Service(),
        queue,
        parts.files,
        customers_of(options),
        parts.alive,
        webhook_keys=parts.secrets,
        fetch=fetch if options.fetch_addresses else None,
        substitute=options.substitute,
        promises=parts.promises,
    )
    server = _Server(_configure(make_asgi(app, queue, options), options))
    event = Replies(parts.files).event
    with beside, Webhooks(queue, event, post_public, parts.secrets):
        log.info("Listening on http://%s:%d", options.host, options.port)
        server.run()


def _configure(asgi: ASGIApp, options: Options) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        host=options.host,
        port=options.port,
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
    )


class _Server(uvicorn.Server):
    """Stops at SIGTERM and SIGINT, and lets the caller stop its workers then."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals as uvicorn does, but do not end the process with them afterwards."""
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if hasattr(signal, "SIGHUP"):
            # It says "read your settings anew", which happens anyway, or that the terminal is gone.
            handlers[signal.SIGHUP] = self.handle_exit if _has_terminal() else _stay
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _stay(_number: int, _frame: FrameType | None) -> None:
    log.info("Keys and their limits are read anew for every request.")


def make_asgi(app: App, queue: Queue, options: Options) -> ASGIApp:
    """Return the ASGI application."""
    endpoint = Endpoint(app, queue, options.folder / "incoming", options.most_body)
    if not _is_loopback(options.host):
        return endpoint
    # Another site's name may lead here (DNS rebinding), and needs no key.
    hosts = ["localhost", "127.0.0.1", "[::1]", options.host, *options.allowed_hosts]
    return TrustedHostMiddleware(endpoint, allowed_hosts=hosts, www_redirect=False)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
