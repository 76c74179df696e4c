"""The only module that speaks HTTP; proxies and certificates are taken from the environment.

A `Line` leads to one remote API; `get` is for public files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from .addresses import Resolve, check_named_url, is_public, resolve
from .errors import BadReplyError, TransportError
from .keys import Secret
from .remote.wire import Call, Reply, whole

if TYPE_CHECKING:
    import requests

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_TIMEOUT = (_CONNECT_SECONDS, _READ_SECONDS)
_PATIENCE = (_CONNECT_SECONDS, 15)  # with who can resume; a stop waits for it
_BLOCK = 1 << 18
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_SLOWEST_UPLOAD = 50_000  # bytes per second
_SLOWEST_DOWNLOAD = 5_000


@contextmanager
def get(url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Lend the answer to a GET of a public address, to be read as a stream.

    What goes wrong inside, and an HTTP error that `raise_for_status` finds, is a `TransportError`.
    """
    import requests

    with (
        _translated(url),
        requests.get(url, headers=headers, stream=True, timeout=_PATIENCE) as reply,
    ):
        yield reply


def fetch_public(
    url: str, limit: int, seconds: float, allowed: Callable[[str], bool] = is_public
) -> bytes:
    """Return what lies at an address that a stranger named.

    Only IP addresses that are `allowed` are talked to, also after redirects and when a name leads
    elsewhere than a moment before. Raises `TransportError` or `BadReplyError`.
    """

    def ask(url: str) -> requests.Response:
        if not url.startswith(("http://", "https://")):
            raise BadReplyError("Only http and https addresses are fetched.")
        return session.get(url, stream=True, timeout=(_CONNECT_SECONDS, seconds))

    with _make_session(allowed) as session, _followed(url, ask) as reply:
        if reply.status_code != 200:
            raise BadReplyError(f"{host_of(reply.url)} answers HTTP {reply.status_code}.")
        return b"".join(_blocks(reply, _never, limit, seconds))


def post_public(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Callable[[str], bool] = is_public,
) -> int:
    """Send a body to an address that a stranger named, and return the HTTP status.

    As in `fetch_public` only `allowed` IP addresses are talked to; redirects are not followed.
    """
    if not url.startswith(("http://", "https://")):
        raise BadReplyError("Only http and https addresses are called.")
    with (
        _make_session(allowed) as session,
        _translated(url, lambda: True),
        session.post(url, body, headers=dict(headers), stream=True, timeout=_TIMEOUT) as reply,
    ):
        return int(reply.status_code)


class Line:
    """HTTP to the host of one remote API and to the results that it names; thread-safe."""

    def __init__(
        self, base_url: str, header: str, scheme: str, key: Secret, look_up: Resolve = resolve
    ) -> None:
        """`header` carries `scheme` and `key` in calls to paths of `base_url`, in no others."""
        self.base_url = base_url
        self._header, self._scheme, self._key = header, scheme, key
        self._look_up = look_up
        self._pooled = _make_session()

    def send(
        self,
        call: Call,
        *,
        stop: Callable[[], None],
        limit: int,
        read_seconds: float = _READ_SECONDS,
        once: bool = False,
    ) -> Reply:
        """Send `call` and return the answer, whatever its status.

        `stop` is called often and may raise; answers longer than `limit` bytes are refused.
        `once` is for calls that must not arrive twice: their connection is new, so that no old
        one can break while it is used, and once the body is handed over `stop` is not called any
        more, so that the answer is not lost. Raises `TransportError`, whose `sent` is False as
        long as a part of the body was not handed over: nobody can have accepted it then.
        """
        body = _Body(call.body, stop)
        session = _make_session() if once else self._pooled
        url = self.base_url + call.url
        if not call.url.startswith("/"):
            url = call.url
            check_named_url(url, self.base_url, self._look_up)
        data = bytearray()
        try:
            with (
                _translated(url, lambda: body.complete),
                self._open(session, call, url, body, read_seconds) as reply,
            ):
                for block in _blocks(reply, _never if once else stop, limit, read_seconds):
                    data += block
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return Reply(reply.status_code, self._key.scrub(bytes(data)), headers)
        except TransportError as error:
            error.received = self._key.scrub(bytes(data))
            raise
        finally:
            if once:
                session.close()

    def fetch(
        self,
        url: str,
        target: Path,
        *,
        stop: Callable[[], None],
        progress: Callable[[int, int], None],
        limit: int,
        read_seconds: float = _READ_SECONDS,
    ) -> int:
        """Fetch a result into the file `target` and return the HTTP status; without 200, no file.

        The key is not sent. At most three redirects are followed, each of them checked. Raises
        `BadReplyError` for an address that may not be fetched and for more than `limit` bytes,
        `TransportError` when the file does not arrive whole. `progress` is told the bytes so far
        and in total (0: unknown).
        """

        def ask(url: str) -> requests.Response:
            check_named_url(url, self.base_url, self._look_up)
            body = _Body(b"", stop)
            return self._open(self._pooled, Call("GET", url), url, body, read_seconds)

        with _followed(url, ask) as reply:
            if reply.status_code == 200:
                total = whole(reply.headers.get("Content-Length"))
                with target.open("wb") as file:
                    for block in _blocks(reply, stop, limit, read_seconds):
                        file.write(block)
                        progress(file.tell(), total)
                    file.flush()
                    os.fsync(file.fileno())
            return int(reply.status_code)

    def _open(
        self, session: requests.Session, call: Call, url: str, body: _Body, read_seconds: float
    ) -> requests.Response:
        import requests

        headers = {"Accept-Encoding": "identity", **call.headers}
        if call.url.startswith("/"):
            headers[self._header] = self._scheme + self._key.reveal()
        request = requests.Request(call.method, url, headers, data=body if call.body else None)
        prepared = session.prepare_request(request)
        if url.isascii():
            prepared.url = url  # requests would rewrite escapes as well
        options = session.merge_environment_settings(url, {}, True, None, None)
        seconds = read_seconds + len(call.body) / _SLOWEST_UPLOAD
        return session.send(
            prepared, timeout=(_CONNECT_SECONDS, seconds), allow_redirects=False, **options
        )


class _Body:
    """A request's body that knows whether all of it was handed over."""

    def __init__(self, data: bytes, stop: Callable[[], None]) -> None:
        self._view = memoryview(data)
        self._stop = stop
        self._at = 0
        self.complete = not data

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    def read(self, size: int = -1) -> bytes:
        if not self.complete:
            self._stop()
        end = len(self._view) if size < 0 else min(self._at + size, len(self._view))
        block = bytes(self._view[self._at : end])
        self._at = end
        self.complete = end == len(self._view)
        return block


def _make_session(allowed: Callable[[str], bool] | None = None) -> requests.Session:
    from .sessions import Session  # imports requests, hence late

    return Session(allowed)


def _blocks(
    reply: requests.Response, stop: Callable[[], None], limit: int, patience: float
) -> Iterator[bytes]:
    """Yield a body of at most `limit` bytes; raise `TransportError` unless it is complete.

    It may take `patience` seconds, and longer only while it comes at a reasonable speed.
    """
    total = whole(reply.headers.get("Content-Length"))
    done, began = 0, time.monotonic()
    for block in _arriving(reply):
        stop()
        done += len(block)
        if done > limit:
            raise BadReplyError(
                f"{host_of(reply.url)} sends more than {limit / 1e6:.0f} MB; reading stopped there."
            )
        if time.monotonic() - began > patience + done / _SLOWEST_DOWNLOAD:
            raise TransportError(f"{host_of(reply.url)} sends too slowly.", sent=True)
        yield block
    if done < total and "Content-Encoding" not in reply.headers:
        raise TransportError(f"The connection to {host_of(reply.url)} broke off.", sent=True)


def _arriving(reply: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived, however little, so that the caller sees a slow body as slow."""
    read1 = getattr(reply.raw, "read1", None)
    if read1 is None:  # urllib3 1.26
        yield from reply.iter_content(1024)
        return
    while block := read1(_BLOCK, decode_content=True):
        yield block


def _never() -> None:
    """Do not stop."""


@contextmanager
def _followed(url: str, ask: Callable[[str], requests.Response]) -> Iterator[requests.Response]:
    """Lend the first answer to a GET that is no redirect; `ask` refuses addresses by raising."""
    for _ in range(_MOST_REDIRECTS + 1):
        with _translated(url, lambda: True), ask(url) as reply:
            if reply.status_code not in _REDIRECTS or "Location" not in reply.headers:
                yield reply
                return
            try:
                url = urljoin(url, reply.headers["Location"])
            except ValueError:
                raise BadReplyError(f"{host_of(url)} redirects to what is no address.") from None
    raise BadReplyError(f"{host_of(url)} redirects more than {_MOST_REDIRECTS} times.")


@contextmanager
def _translated(url: str, sent: Callable[[], bool] | None = None) -> Iterator[None]:
    """Turn every exception of requests into a `TransportError`.

    `sent` tells whether the whole request was handed over. Its cause is left out then: requests
    puts whole addresses, signatures included, into its messages.
    """
    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code
        raise TransportError(f"{host_of(url)} answered HTTP {status}.", sent=True) from error
    except requests.exceptions.ConnectTimeout as error:
        cause = error if sent is None else None
        raise TransportError(f"{host_of(url)} does not answer.", sent=False) from cause
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        kind = type(error).__name__
        raise TransportError(
            f"Cannot reach {host_of(url)} ({kind}).", sent=sent is None or sent()
        ) from (error if sent is None else None)


def host_of(url: str) -> str:
    """Return the host alone: a signed URL's query is a secret."""
    return urlsplit(url).hostname or "the server"
