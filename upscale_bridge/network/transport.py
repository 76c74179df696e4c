"""The only module that speaks HTTP; proxies and certificates are taken from the environment.

A `Transport` leads to one remote API; `get` is for public files.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..contract.http import Call, Reply
from ..contract.reading import whole
from ..errors import BadReplyError, TransportError, UpscaleError
from ..storage.keys import Secret
from .addresses import Resolve, Target, base_target, check_named_url, is_public, resolve
from .bodies import Body, Piece
from .watch import Watch

if TYPE_CHECKING:
    import requests

    from .sessions import Session

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_TIMEOUT = (_CONNECT_SECONDS, _READ_SECONDS)
_PATIENCE = (_CONNECT_SECONDS, 15)  # with who can resume; a stop waits for it
_IDENTITY = {"Accept-Encoding": "identity"}
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_BLOCK = 1 << 18
_SLOWEST_UPLOAD = 50_000  # bytes per second


def _never() -> None:
    """Do not stop."""


def _ignored(done: int, total: int) -> None:
    """Tell nobody how far it is."""


@contextmanager
def get(
    url: str, headers: Mapping[str, str], stop: Callable[[], None], limit: int
) -> Iterator[requests.Response]:
    """Lend the answer to a GET of a public file, to be read as a stream.

    `stop` is called often and may raise; `limit` is the largest file, bytes. Redirects are followed
    as those of a service. What goes wrong inside, and an HTTP error that `raise_for_status` finds,
    is a `TransportError`; an address that is not used is a `BadReplyError`.
    """

    def ask(place: str) -> requests.Response:
        target = Target(host_of(url), resolve) if place == url else check_named_url(place, url)
        watch = _watch(place, (), stop, limit, _READ_SECONDS)
        return session.ask("GET", place, headers, target, watch, _PATIENCE)

    with _make_session() as session, _followed(url, ask) as reply:
        yield reply


def fetch_public(
    url: str,
    limit: int,
    seconds: float,
    allowed: Callable[[str], bool] = is_public,
    look_up: Resolve = resolve,
) -> bytes:
    """Return what lies at an address that a stranger named.

    Only IP addresses that are `allowed` are talked to, also after redirects and when a name leads
    elsewhere than a moment before; proxies are not used, since they look names up themselves.
    Raises `TransportError` or `BadReplyError`.
    """

    def ask(url: str) -> requests.Response:
        target = _stranger(url, allowed, look_up)
        watch = _watch(url, (), _never, limit, seconds)
        timeout = (_CONNECT_SECONDS, seconds)
        return session.ask("GET", url, {}, target, watch, timeout, proxies=False)

    with _make_session() as session, _followed(url, ask) as reply:
        if reply.status_code != 200:
            raise BadReplyError(f"{host_of(reply.url)} answers HTTP {reply.status_code}.")
        return b"".join(_blocks(reply, limit))


def post_public(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Callable[[str], bool] = is_public,
    look_up: Resolve = resolve,
) -> int:
    """Send a body to an address that a stranger named, and return the HTTP status.

    As in `fetch_public` only `allowed` IP addresses are talked to; redirects are not followed.
    """
    target = _stranger(url, allowed, look_up)
    watch = _watch(url, (body,), _never, 0, _READ_SECONDS)
    with (
        _make_session() as session,
        _translated(url, watch),
        session.ask("POST", url, headers, target, watch, _TIMEOUT, proxies=False) as reply,
    ):
        return int(reply.status_code)


class Transport:
    """HTTP to the host of one remote API and to the results that it names; thread-safe."""

    def __init__(
        self,
        base_url: str,
        header: str,
        scheme: str,
        key: Secret,
        look_up: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`header` carries `scheme` and `key` in calls to paths of `base_url`, in no others.

        `look_up` and `clock`, seconds that never jump, are for tests.
        """
        self.base_url = base_url
        self._header, self._scheme, self._key = header, scheme, key
        self._look_up, self._clock = look_up, clock
        self._pooled = _make_session()

    @property
    def account(self) -> str:
        """Tells the key from others; see `Secret.account`."""
        return self._key.account

    def hide(self, value: Any) -> Any:
        """Return what an answer was decoded to without the key, should the service say it back."""
        return self._key.redactor.hide_all(value)

    def send(
        self,
        call: Call,
        *,
        stop: Callable[[], None],
        limit: int,
        read_seconds: float = _READ_SECONDS,
        once: bool = False,
        progress: Callable[[int, int], None] = _ignored,
    ) -> Reply:
        """Send `call` and return the answer, whatever its status.

        `stop` is called often and may raise; answers longer than `limit` bytes are refused.
        `once` is for calls that must not arrive twice: their connection is new, so that no old
        one can break while it is used, and once the body is handed over a stop leaves the answer
        15 s, so that it is not lost. `progress` is told the bytes of the body that were handed over
        and all of them. Raises `TransportError`, whose `sent` is False as long as a part of the
        body was not handed over: nobody can have accepted it then. Raises `InvalidInputError` for
        a file that cannot be read.
        """
        with self._hiding():
            return self._send(call, stop, limit, read_seconds, once, progress)

    def _send(
        self,
        call: Call,
        stop: Callable[[], None],
        limit: int,
        read_seconds: float,
        once: bool,
        progress: Callable[[int, int], None],
    ) -> Reply:
        session = _make_session() if once else self._pooled
        url, headers = self.base_url + call.url, {**_IDENTITY, **call.headers}
        if call.url.startswith("/"):
            target = base_target(self.base_url, self._look_up)
            headers[self._header] = self._key.header(self._scheme)
        else:
            url = call.url
            target = self._named(url)
        pieces = (call.body, *call.rest)
        seconds = read_seconds + Body(pieces).size / _SLOWEST_UPLOAD
        watch = _watch(url, pieces, stop, limit, seconds, once, self._clock, progress)
        timeout = (_CONNECT_SECONDS, seconds)
        data = bytearray()
        try:
            with (
                _translated(url, watch),
                session.ask(call.method, url, headers, target, watch, timeout) as reply,
            ):
                for block in _blocks(reply, limit):
                    data += block
                headers = {name.lower(): self.hide(text) for name, text in reply.headers.items()}
                return Reply(reply.status_code, self._key.scrub(bytes(data)), headers, self.hide)
        except TransportError as error:
            error.received = self._key.scrub(bytes(data))
            raise
        finally:
            watch.close()
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
            place = self._named(url)
            watch = _watch(url, (), stop, limit, read_seconds, clock=self._clock)
            timeout = (_CONNECT_SECONDS, read_seconds)
            return self._pooled.ask("GET", url, _IDENTITY, place, watch, timeout)

        with self._hiding(), _followed(url, ask) as reply:
            if reply.status_code == 200:
                total = whole(reply.headers.get("Content-Length"))
                with target.open("wb") as file:
                    for block in _blocks(reply, limit):
                        file.write(block)
                        progress(file.tell(), total)
                    file.flush()
                    os.fsync(file.fileno())
            return int(reply.status_code)

    def _named(self, url: str) -> Target:
        """Return the target of an address that the service named, or raise `BadReplyError`."""
        if self._key.redactor.hide(url) != url:
            raise BadReplyError("The service names an address that holds the key; it is not used.")
        return check_named_url(url, self.base_url, self._look_up)

    @contextmanager
    def _hiding(self) -> Iterator[None]:
        """Take the key out of errors: a host that the service named may be in them."""
        try:
            yield
        except UpscaleError as error:
            error.args = tuple(self._key.redactor.hide(str(part)) for part in error.args)
            raise


def _watch(
    url: str,
    body: Sequence[Piece],
    stop: Callable[[], None],
    limit: int,
    patience: float,
    once: bool = False,
    clock: Callable[[], float] = time.monotonic,
    progress: Callable[[int, int], None] = _ignored,
) -> Watch:
    return Watch(
        *(host_of(url), Body(body), stop, clock),
        once=once,
        limit=limit,
        patience=patience,
        progress=progress,
    )


def _stranger(url: str, allowed: Callable[[str], bool], look_up: Resolve) -> Target:
    """Return the target of an address that a stranger named: what is `allowed` of it."""
    if not url.startswith(("http://", "https://")):
        raise BadReplyError("Only http and https addresses are used.")
    return Target(host_of(url), look_up, allowed)


def _make_session() -> Session:
    from .sessions import Session  # imports requests, hence late

    return Session()


def _blocks(reply: requests.Response, limit: int) -> Iterator[bytes]:
    """Yield a body of at most `limit` bytes; raise `TransportError` unless it is complete."""
    total = whole(reply.headers.get("Content-Length"))
    done = 0
    for block in _arriving(reply):
        done += len(block)
        if done > limit:
            raise BadReplyError(
                f"{host_of(reply.url)} sends more than {limit / 1e6:.0f} MB; reading stopped there."
            )
        yield block
    if done < total and "Content-Encoding" not in reply.headers:
        raise TransportError(f"The connection to {host_of(reply.url)} broke off.", sent=True)


def _arriving(reply: requests.Response) -> Iterator[bytes]:
    """Yield what has arrived, however little."""
    read1 = getattr(reply.raw, "read1", None)
    if read1 is None:  # urllib3 1.26
        yield from reply.iter_content(1024)
        return
    while block := read1(_BLOCK, decode_content=True):
        yield block


@contextmanager
def _followed(url: str, ask: Callable[[str], requests.Response]) -> Iterator[requests.Response]:
    """Lend the first answer to a GET that is no redirect; `ask` refuses addresses by raising."""
    for _ in range(_MOST_REDIRECTS + 1):
        with _translated(url), ask(url) as reply:
            if reply.status_code not in _REDIRECTS or "Location" not in reply.headers:
                yield reply
                return
            try:
                url = urljoin(url, reply.headers["Location"])
            except ValueError:
                raise BadReplyError(f"{host_of(url)} redirects to what is no address.") from None
    raise BadReplyError(f"{host_of(url)} redirects more than {_MOST_REDIRECTS} times.")


@contextmanager
def _translated(url: str, watch: Watch | None = None) -> Iterator[None]:
    """Turn every exception of requests into a `TransportError`.

    It was sent as soon as the body was handed over. The exception's own text is left out: it may
    have whole addresses in it, signatures included, or the password of a proxy.
    """
    import requests
    import urllib3

    try:
        yield
    except BaseException as error:
        status = getattr(getattr(error, "response", None), "status_code", 0)
        _forget(error)
        if isinstance(error, requests.exceptions.HTTPError) and status:
            text, sent = f"{host_of(url)} answered HTTP {status}.", True
        elif isinstance(error, requests.exceptions.ConnectTimeout):
            text, sent = f"{host_of(url)} does not answer.", False
        elif isinstance(
            error, (requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
        ):
            text = f"Cannot reach {host_of(url)} ({type(error).__name__})."
            sent = watch is None or watch.complete
        else:
            raise
        raise TransportError(text, sent=sent) from None


def _forget(error: BaseException) -> None:
    """Empty the frames that an exception came through: reports of local variables would show the
    headers of the request."""
    known: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            traceback.clear_frames(one.__traceback__)
            for name in ("request", "response"):
                if hasattr(one, name):  # of requests
                    setattr(one, name, None)
            left += [one.__cause__, one.__context__]


def host_of(url: str) -> str:
    """Return the host alone: a signed URL's query is a secret."""
    return urlsplit(url).hostname or "the server"
