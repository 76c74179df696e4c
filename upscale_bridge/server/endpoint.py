"""One request from its head to the last byte of its answer.

The head is judged before a byte of the body is read; bodies and answers that hold whole images lie
on the disk, and two at a time are unpacked in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..contract.http import Call, Reply, answer
from ..network.origins import collect
from . import bodies
from .admission import Admission, Sender
from .app import Answer, App
from .bodies import Body, TooLargeError, TooManyError
from .metrics import Metrics, api_of
from .queue import Queue
from .replies import Stored, Wait
from .slots import Slots

log = logging.getLogger("upscale_bridge.server")

METHODS = ("GET", "POST", "PUT")

_LOOK_SECONDS, _SLOWEST_LOOK = 0.02, 0.25
_UNPACKED = 2
_CALLS, _CALLS_EACH = 448, 128
_BODIES = 8  # times the largest body: what all bodies together may have
_ROOM_SECONDS = 30.0


class Endpoint:
    """Answers all requests."""

    def __init__(self, app: App, queue: Queue, folder: Path, most_body: int) -> None:
        """`folder` is for bodies of at most `most_body` bytes while they are on their way."""
        self._app, self._queue, self._folder = app, queue, folder
        self._most_body = most_body
        self._metrics = Metrics(queue)
        self._unpacking = asyncio.Semaphore(_UNPACKED)
        self._calls = Slots(_CALLS, _CALLS_EACH)
        self._bodies = Slots(_BODIES * most_body, _BODIES * most_body // 2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as an ASGI application."""
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """Return the answer to a request."""
        started = time.monotonic()
        if request.method == "GET" and request.url.path == "/metrics":
            return Response(await run_in_threadpool(self._metrics.text), media_type="text/plain")
        response = await self._respond(request)
        seconds = time.monotonic() - started
        self._metrics.note(request.url.path, response.status_code, seconds)
        # The name of a file is all that is needed to fetch it.
        api = api_of(request.url.path)
        path = f"/{api}" if api in ("files", "uploads") else request.url.path
        facts = {"method": request.method, "path": path, "status": response.status_code}
        log.info(json.dumps({**facts, "ms": round(1000 * seconds, 1)}))
        return response

    async def _respond(self, request: Request) -> Response:
        headers = collect(request.headers.items())
        has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        if "transfer-encoding" in headers and "content-length" in headers:
            # Two programs on the way could read two different requests out of it (RFC 9112, 6.3).
            return _last(400, "A request has one length: Content-Length or Transfer-Encoding.")
        method = "GET" if request.method == "HEAD" else request.method  # uvicorn drops the body
        if method not in METHODS:
            return _plain(405, "This server knows GET, POST and PUT.", allow=", ".join(METHODS))
        url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        call = Call(method, url, b"", headers)  # type: ignore[arg-type]
        peer = request.client.host if request.client else ""
        scheme = "https" if request.url.scheme == "https" else "http"
        sender = Sender(peer, request.scope["http_version"], scheme)
        base_url = f"{scheme}://{request.url.netloc}"
        try:
            if has_body:
                return await self._with_body(request, call, sender, base_url)
            return await self._without_body(call, sender, base_url)
        except TooManyError as error:
            reply = await run_in_threadpool(
                self._app.refuse, call, 429, f"{error} Try again in a moment."
            )
            return await _response(reply, close=True)
        except asyncio.TimeoutError:
            return _last(408, "The request came too slowly.")
        except ClientDisconnect:
            return _last(400, "The request broke off.")
        except OSError:
            log.exception("A body could not be kept.")
            return _last(507, "The server's disk is full.")

    async def _without_body(self, call: Call, sender: Sender, base_url: str) -> Response:
        found, customer = await run_in_threadpool(self._at_once, call, sender, base_url)
        if not isinstance(found, Wait):
            return await _response(found)
        with self._place(customer):
            return await self._wait(found, customer)

    def _at_once(self, call: Call, sender: Sender, base_url: str) -> tuple[Answer, str]:
        """Admit a call that has all it needs and answer it, in one visit to a thread; return whose
        it is as well."""
        admission = self._app.admit(call, sender, self._most_body)
        if not isinstance(admission, Admission):
            return admission, ""
        customer = admission.customer
        with self._place(customer.name):
            return self._app.handle(call, customer, base_url), customer.name

    async def _with_body(
        self, request: Request, call: Call, sender: Sender, base_url: str
    ) -> Response:
        admission = await run_in_threadpool(self._app.admit, call, sender, self._most_body)
        if not isinstance(admission, Admission):
            return await _response(admission, close=True)
        customer = admission.customer
        with self._place(customer.name):
            with Body(self._folder, self._bodies, customer.name) as body:
                try:
                    await bodies.receive(request, body, admission.most)
                except TooLargeError:
                    return _last(413, f"A request may have at most {_size(admission.most)}.")
                async with self._unpacking if body.large else contextlib.nullcontext():
                    found = await run_in_threadpool(
                        lambda: self._app.handle(
                            replace(call, body=body.read()), customer, base_url
                        )
                    )
            if isinstance(found, Wait):
                return await self._wait(found, customer.name)
            return await _response(found)

    @contextlib.contextmanager
    def _place(self, customer: str) -> Iterator[None]:
        """Be one of the calls that are answered at the same time; raises `TooManyError`."""
        if not self._calls.take(customer):
            raise TooManyError("Too many calls of this key are under way.")
        try:
            yield
        finally:
            self._calls.give(customer)

    async def _wait(self, wait: Wait, customer: str) -> Response:
        """Answer when the job is done, or when the time is over."""
        until, pause = time.monotonic() + wait.seconds, _LOOK_SECONDS
        while True:
            job = await run_in_threadpool(self._queue.get, wait.job)
            if job is None:
                return _plain(404, "The task was removed.")
            late = time.monotonic() >= until
            if job.finished or late:
                break
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _SLOWEST_LOOK)
        make = wait.done if job.finished else wait.late
        async with self._unpacking:
            reply = await run_in_threadpool(make, job)
            if len(reply.body) <= bodies.IN_MEMORY:
                return await _response(reply)
            return await self._from_disk(reply, customer)

    async def _from_disk(self, reply: Reply, customer: str) -> Response:
        """Lay a large answer on the disk, from where its reader may take it in his time."""
        with contextlib.ExitStack() as stack:
            body = stack.enter_context(Body(self._folder, self._bodies, customer))
            until = time.monotonic() + _ROOM_SECONDS
            while True:
                try:
                    await body.add(reply.body)
                    break
                except TooManyError:
                    if time.monotonic() > until:
                        raise
                    await asyncio.sleep(_SLOWEST_LOOK)
            file = await run_in_threadpool(body.file)
            return _Streamed(file, body.size, reply.headers, reply.status, stack.pop_all())


class _Streamed(Response):
    """An answer that lies in a file, sent piece by piece."""

    def __init__(
        self,
        file: IO[bytes],
        size: int,
        headers: Mapping[str, str],
        status: int,
        lease: contextlib.ExitStack,
    ) -> None:
        """`lease` is left when all is sent, or nobody reads any more."""
        super().__init__(None, status, {**headers, "content-length": str(size)})
        self._file, self._lease = file, lease

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._lease:
            head = {"type": "http.response.start", "status": self.status_code}
            await send({**head, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                async for piece in bodies.pieces(self._file):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _response(found: Answer, *, close: bool = False) -> Response:
    """Return an answer; `close` ends the connection: a body that still comes is not read."""
    more = {"connection": "close"} if close else {}
    if isinstance(found, Reply):
        return Response(found.body, found.status, {**found.headers, **more})
    assert isinstance(found, Stored)
    lease = contextlib.ExitStack()
    lease.enter_context(found.file)
    return _Streamed(found.file, found.size, {**found.headers, **more}, 200, lease)


def _plain(status: int, message: str, **more: str) -> Response:
    reply = answer({"code": status, "message": message}, status)
    return Response(reply.body, status, {**reply.headers, **more})


def _last(status: int, message: str) -> Response:
    """Return a refusal that ends the connection: the rest of the body is not read."""
    return _plain(status, message, connection="close")


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count} bytes"
