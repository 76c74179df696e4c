"""The server's sockets: an ASGI application around `App`, and its processes.

Imported only by `serve`: its packages are the extra [server].
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import SettingsError
from ..remote.wire import Call, Reply, answer
from ..service import Service
from ..transport import fetch_public, post_public
from .app import App
from .customers import Customers
from .files import Files
from .protocol import Protocol
from .queue import Queue
from .replies import Replies, Wait
from .sqlite_queue import SqliteQueue
from .webhooks import Secrets, Webhooks
from .workers import Workers

log = logging.getLogger("upscale_bridge.server")

METHODS = ["GET", "POST", "PUT"]
_LOOK_SECONDS, _SLOWEST_LOOK = 0.02, 0.25
_PIECE_SECONDS = 30.0
_BODY_SECONDS = 300.0


@dataclass(frozen=True)
class Options:
    """How the server is run."""

    folder: Path
    """Where queue and files lie."""
    keys: Path
    """The keys file; without one every key is accepted, on this machine only."""
    host: str = "127.0.0.1"
    port: int = 8190
    allowed_hosts: tuple[str, ...] = ()
    """Names by which clients call the server, besides its own address."""
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


def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT. Raises `SettingsError`."""
    customers = Customers(options.keys, required=not _is_loopback(options.host))
    if not _is_loopback(options.host) and not customers.names():
        raise SettingsError(
            f"On {options.host} others could use this server; make a key for each of them first: "
            "`upscale-bridge server-keys add NAME`."
        )
    queue = SqliteQueue(options.folder, options.most_waiting)
    files = Files(options.folder / "files", options.most_bytes)
    secrets = Secrets(options.folder / "webhook-secret")
    workers = Workers(options.folder, options.devices, options.most_bytes)

    def fetch(url: str) -> bytes:
        return fetch_public(url, options.most_body, _PIECE_SECONDS)

    app = App(
        Service(),
        queue,
        files,
        customers,
        workers.alive,
        webhook_keys=secrets,
        fetch=fetch if options.fetch_addresses else None,
    )
    server = _Server(_configure(make_asgi(app, queue, options), options))
    with workers, Webhooks(queue, Replies(files).event, post_public, secrets):
        log.info("Listening on http://%s:%d", options.host, options.port)
        server.run()


def _configure(asgi: Starlette, options: Options) -> uvicorn.Config:
    return uvicorn.Config(
        asgi,
        host=options.host,
        port=options.port,
        http=Protocol,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
        limit_concurrency=512,
    )


class _Server(uvicorn.Server):
    """Stops at SIGTERM and SIGINT, and lets the caller stop its workers then."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals as uvicorn does, but do not end the process with them afterwards."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self.handle_exit) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def make_asgi(app: App, queue: Queue, options: Options) -> Starlette:
    """Return the ASGI application."""
    metrics = _Metrics(queue)

    async def endpoint(request: Request) -> Response:
        started = time.monotonic()
        if request.method == "GET" and request.url.path == "/metrics":
            return Response(await run_in_threadpool(metrics.text), media_type="text/plain")
        reply = await _reply(app, queue, options, request)
        seconds = time.monotonic() - started
        metrics.note(request.url.path, reply.status, seconds)
        # The name of a file is all that is needed to fetch it.
        api = _api(request.url.path)
        path = f"/{api}" if api in ("files", "uploads") else request.url.path
        facts = {"method": request.method, "path": path, "status": reply.status}
        log.info(json.dumps({**facts, "ms": round(1000 * seconds, 1)}))
        return Response(reply.body, reply.status, dict(reply.headers))

    hosts = ["*"]
    if _is_loopback(options.host):
        # Another site's name may lead here (DNS rebinding), and needs no key.
        hosts = ["localhost", "127.0.0.1", "[::1]", options.host, *options.allowed_hosts]
    return Starlette(
        routes=[Route("/{path:path}", endpoint, methods=METHODS)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
    )


async def _reply(app: App, queue: Queue, options: Options, request: Request) -> Reply:
    try:
        body = await _read(request, options.most_body)
    except asyncio.TimeoutError:
        return _last_answer(408, "The request came too slowly.")
    except ClientDisconnect:
        return _last_answer(400, "The request broke off.")
    if body is None:
        return _last_answer(413, f"A request may have at most {options.most_body >> 20} MB.")
    url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    method = "GET" if request.method == "HEAD" else request.method  # uvicorn drops the body
    call = Call(method, url, body, headers)  # type: ignore[arg-type]
    base_url = f"{request.url.scheme}://{request.url.netloc}"
    found = await run_in_threadpool(app.handle, call, base_url)
    return found if isinstance(found, Reply) else await _wait(queue, found)


def _last_answer(status: int, message: str) -> Reply:
    """Return a refusal that ends the connection: the rest of the body is not read."""
    reply = answer({"code": status, "message": message}, status)
    return Reply(status, reply.body, {**reply.headers, "connection": "close"})


async def _read(request: Request, most: int) -> bytes | None:
    """Return the body, None when it is larger than `most`; raises `asyncio.TimeoutError`."""
    if int(request.headers.get("content-length") or 0) > most:
        return None
    parts: list[bytes] = []
    size = 0
    stream, until = request.stream(), time.monotonic() + _BODY_SECONDS
    while True:
        left = max(until - time.monotonic(), 0.0)
        try:
            part = await asyncio.wait_for(anext(stream), min(_PIECE_SECONDS, left))
        except StopAsyncIteration:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > most:
            return None


async def _wait(queue: Queue, wait: Wait) -> Reply:
    """Answer when the job is done, or when the time is over."""
    until, pause = time.monotonic() + wait.seconds, _LOOK_SECONDS
    while True:
        job = await run_in_threadpool(queue.get, wait.job)
        if job is None:
            return answer({"code": 404, "message": "The task was removed."}, 404)
        if job.finished:
            return await run_in_threadpool(wait.done, job)
        if time.monotonic() > until:
            return await run_in_threadpool(wait.late, job)
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, _SLOWEST_LOOK)


class _Metrics:
    """What a Prometheus server may ask for."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "upscale_bridge_answers", "Answers", ["api", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "upscale_bridge_answer_seconds", "Time to answer", ["api"], registry=self._registry
        )
        self._jobs = Gauge("upscale_bridge_jobs", "Jobs", ["state"], registry=self._registry)

    def note(self, path: str, status: int, seconds: float) -> None:
        """Count one answer."""
        api = _api(path)
        self._answers.labels(api, str(status)).inc()
        self._seconds.labels(api).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for state, count in self._queue.counts().items():
            self._jobs.labels(state).set(count)
        return bytes(generate_latest(self._registry))


def _api(path: str) -> str:
    head = path.split("/")[1] if path.startswith("/") else ""
    known = ("v1", "v2", "v3", "api", "files", "uploads", "healthz", "readyz", "status")
    return head if head in known else "other"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
