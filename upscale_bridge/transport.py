"""The only module that speaks HTTP; proxies and certificates are taken from the environment.

`download` fetches weights; a `Line` leads to one remote API.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from .addresses import Resolve, check_result_url, resolve
from .errors import BadReplyError, DownloadError, TransportError
from .keys import Secret
from .monitor import Monitor
from .remote.wire import Call, Reply

if TYPE_CHECKING:
    import requests

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_BLOCK = 1 << 18
_TRIES = 4
_LARGEST = 8 << 30
_MOST_REDIRECTS = 3
_SLOWEST_UPLOAD = 50_000  # bytes per second
_CONNECTIONS = 64


def download(
    url: str, target: Path, monitor: Monitor, *, size: int | None = None, sha256: str | None = None
) -> None:
    """Fetch `url` into `target`, which appears only when it is complete and checked.

    An interrupted download leaves `target` + ".part" and goes on there the next time. `size` in
    bytes and `sha256` are checked when known. Raises `DownloadError` or what `monitor` raises.
    """
    part = target.with_name(target.name + ".part")
    try:
        for attempt in range(_TRIES):
            try:
                _fetch(url, part, monitor, size or _LARGEST)
                break
            except TransportError:
                # Whatever arrived is kept; go on from there unless nothing comes any more.
                if attempt == _TRIES - 1 or not part.exists():
                    raise
        _verify(part, size, sha256)
        part.replace(target)
    except TransportError as error:
        raise DownloadError(
            f"{error} Check the connection or the proxy, or fetch {_public(url)} by other means "
            f"and put the file into {target.parent}."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"Cannot write {target} ({error.strerror}); free some space or choose another folder."
        ) from error


def _fetch(url: str, part: Path, monitor: Monitor, limit: int) -> None:
    """Append to `part` what it lacks."""
    import requests

    done = part.stat().st_size if part.exists() else 0
    if done >= limit:
        return
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are those of the file itself
    if done:
        headers["Range"] = f"bytes={done}-"
    with (
        _translated(url),
        requests.get(
            url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
        ) as reply,
    ):
        if done and reply.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # it is longer than the file; begin again
            _fetch(url, part, monitor, limit)
            return
        reply.raise_for_status()
        resumed = reply.status_code == requests.codes.partial_content
        with part.open("ab" if resumed else "wb") as file:
            _copy(reply, file, monitor, done if resumed else 0, limit)


def _copy(
    reply: requests.Response, file: BinaryIO, monitor: Monitor, done: int, limit: int
) -> None:
    total = done + int(reply.headers.get("Content-Length") or 0)
    for block in reply.iter_content(_BLOCK):
        monitor.check()
        done += len(block)
        if done > limit:
            raise DownloadError(
                f"{_host(reply.url)} sends more than the expected {limit} bytes; "
                "it is not the file that the catalogue describes."
            )
        file.write(block)
        monitor.progress(min(done, max(total, done)), max(total, done))
        monitor.status(f"downloading {done / 1e6:.1f}/{max(total, done) / 1e6:.1f} MB")
    if done < total:
        raise TransportError(f"The connection to {_host(reply.url)} broke off.", sent=True)
    file.flush()
    os.fsync(file.fileno())


def _verify(part: Path, size: int | None, sha256: str | None) -> None:
    if size is not None and part.stat().st_size != size:
        found = part.stat().st_size
        part.unlink()
        raise DownloadError(
            f"{part.stem} has {found} bytes instead of {size}; it was thrown away, try again later."
        )
    if sha256 is not None:
        digest = hashlib.sha256()
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256:
            part.unlink()
            raise DownloadError(
                f"{part.stem} is not the expected file (its SHA-256 is {digest.hexdigest()}, "
                f"not {sha256}); it was thrown away, fetch it from a source that you trust."
            )


class Line:
    """HTTP to the host of one remote API and to the results that it names; thread-safe."""

    def __init__(
        self, base_url: str, header: str, scheme: str, key: Secret, look_up: Resolve = resolve
    ) -> None:
        """`header` carries `scheme` and `key` in calls to paths of `base_url`, in no others."""
        self.base_url = base_url
        self._header, self._scheme, self._key = header, scheme, key
        self._look_up = look_up
        self._pooled = _session()

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
        one can break while it is used. Raises `TransportError`, whose `sent` is False as long as
        a part of the body was not handed over, since nobody can have accepted it then.
        """
        body = _Body(call.body, stop)
        session = _session() if once else self._pooled
        url = self.base_url + call.url if call.url.startswith("/") else call.url
        try:
            with (
                _translated(url, lambda: body.complete),
                self._open(session, call, url, body, read_seconds) as reply,
            ):
                data = b"".join(_blocks(reply, stop, limit))
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return Reply(reply.status_code, self._key.scrub(data), headers)
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
        `TransportError` for an address that may not be fetched, and when the file does not arrive
        whole. `progress` is told the bytes so far and in total (0: unknown).
        """
        for _ in range(_MOST_REDIRECTS + 1):
            check_result_url(url, self.base_url, self._look_up)
            call = Call("GET", url)
            with (
                _translated(url, lambda: True),
                self._open(self._pooled, call, url, _Body(b"", stop), read_seconds) as reply,
            ):
                if reply.is_redirect:
                    url = _next(url, reply.headers["Location"])
                    continue
                if reply.status_code == 200:
                    total = int(reply.headers.get("Content-Length") or 0)
                    with target.open("wb") as file:
                        for block in _blocks(reply, stop, limit):
                            file.write(block)
                            progress(file.tell(), total)
                        file.flush()
                        os.fsync(file.fileno())
                return int(reply.status_code)
        raise TransportError(
            f"{_host(url)} redirects more than {_MOST_REDIRECTS} times.", sent=True
        )

    def _open(
        self, session: requests.Session, call: Call, url: str, body: _Body, read_seconds: float
    ) -> requests.Response:
        import requests

        headers = {"Accept-Encoding": "identity", **call.headers}
        if call.url.startswith("/"):
            headers[self._header] = self._scheme + self._key.reveal()
        request = requests.Request(call.method, url, headers, data=body if call.body else None)
        prepared = session.prepare_request(request)
        prepared.url = url  # requests would rewrite escapes, and a signature may cover them
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
        self._stop()
        end = len(self._view) if size < 0 else min(self._at + size, len(self._view))
        block = bytes(self._view[self._at : end])
        self._at = end
        self.complete = end == len(self._view)
        return block


def _session() -> requests.Session:
    """Return a session without cookies, retries of its own, and passwords of a netrc file."""
    from http.cookiejar import DefaultCookiePolicy

    import requests

    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.auth = lambda request: request
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return session


def _blocks(reply: requests.Response, stop: Callable[[], None], limit: int) -> Iterator[bytes]:
    """Yield a body of at most `limit` bytes; raise `TransportError` unless it is complete."""
    total = int(reply.headers.get("Content-Length") or 0)
    done = 0
    for block in reply.iter_content(_BLOCK):
        stop()
        done += len(block)
        if done > limit:
            raise BadReplyError(
                f"{_host(reply.url)} sends more than {limit / 1e6:.0f} MB; it is not read further."
            )
        yield block
    if done < total and "Content-Encoding" not in reply.headers:
        raise TransportError(f"The connection to {_host(reply.url)} broke off.", sent=True)


def _next(url: str, location: str) -> str:
    from urllib.parse import urljoin

    return urljoin(url, location)


@contextmanager
def _translated(url: str, sent: Callable[[], bool] | None = None) -> Iterator[None]:
    """Turn every exception of requests into a `TransportError`.

    `sent` tells whether the whole request was handed over. Its cause is left out then: requests
    puts whole addresses, signatures included, into its messages.
    """
    import requests

    try:
        yield
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code
        raise TransportError(f"{_host(url)} answered HTTP {status}.", sent=True) from error
    except requests.exceptions.ConnectTimeout as error:
        cause = error if sent is None else None
        raise TransportError(f"{_host(url)} does not answer.", sent=False) from cause
    except requests.exceptions.RequestException as error:
        kind = type(error).__name__
        raise TransportError(
            f"Cannot reach {_host(url)} ({kind}).", sent=sent is None or sent()
        ) from (error if sent is None else None)


def _host(url: str) -> str:
    """Return the host alone: a signed URL's query is a secret."""
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or "the server"


def _public(url: str) -> str:
    """Return the address without what may be secret: user, password, query."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
