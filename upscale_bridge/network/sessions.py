"""A requests session that does as it is told, and nothing on its own.

Imported late, since it imports requests.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Mapping
from http.client import HTTPResponse, LineTooLong
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError

from ..errors import TransportError
from .addresses import Target
from .watch import Watch

_CONNECTIONS = 64
_TARGET = "X-Upscale-Bridge-Target"
_LOOK_SECONDS = 0.1
_BUFFER = 1 << 16
_LONGEST_LINE = 1 << 16


class Session(requests.Session):
    """No cookies, no retries, no redirects, no passwords of a netrc file."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = lambda request: request  # else requests asks the netrc file
        self._now = threading.local()
        adapter = _Adapter(self._now)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See no redirect: requests would read its body without a limit."""

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        target: Target,
        watch: Watch,
        timeout: tuple[float, float],
        *,
        proxies: bool = True,
    ) -> requests.Response:
        """Send a request to `target` and return the answer, whose body is read as a stream.

        `watch` has the body and sees the answer's bytes. Proxies of the environment are used for
        public hosts, and for names that only a proxy may know if the connection is encrypted; they
        look names up themselves. Nothing goes to a proxy that is meant for this machine or a
        private network.
        """
        plain = {name: str(value) for name, value in headers.items()}  # older ones take no others
        request = requests.Request(method, url, plain, data=watch if len(watch) else None)
        prepared = self.prepare_request(request)
        prepared.headers.update(headers)
        if url.isascii():
            prepared.url = url  # requests would rewrite escapes as well
        options = self.merge_environment_settings(url, {}, True, None, None)
        if not proxies or not _may_pass_on(url, target, options["proxies"]):
            options["proxies"] = {}
        self._now.target = None if options["proxies"] else target
        self._now.watch = watch
        try:
            return self.send(prepared, timeout=timeout, allow_redirects=False, **options)
        finally:
            self._now.target = self._now.watch = None


def _may_pass_on(url: str, target: Target, proxies: Any) -> bool:
    """Tell whether there is a proxy for an address, and it may be used."""
    proxy = select_proxy(url, proxies)
    if not proxy:
        return False
    place = target.place
    if place != "private" and not _is_address(proxy):
        raise TransportError(
            "The environment names a proxy that is no address; mend or remove it.", sent=False
        )
    return place == "public" or (place == "unknown" and urlsplit(url).scheme == "https")


def _is_address(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        parts.port  # noqa: B018 (raises when it is no number)
    except ValueError:
        return False
    return bool(parts.hostname)


class _Adapter(HTTPAdapter):
    """Asks for addresses byte for byte, and without showing their queries.

    urllib3 rewrites the case of percent escapes, which a signature may cover, and logs whole
    targets, signatures included. So it gets to see the path alone; a header that never leaves this
    process carries the target past it.
    """

    def __init__(self, now: threading.local) -> None:
        self._connect = now
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._put_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            self._put_pools(manager)
        return manager

    def _put_pools(self, manager: Any) -> None:
        """Have a manager make our connections, above its own: SOCKS has others."""
        manager.pool_classes_by_scheme = {
            scheme: _pool(base, self._connect)
            for scheme, base in manager.pool_classes_by_scheme.items()
        }

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return super().request_url(request, proxies).partition("?")[0]

    def add_headers(self, request: requests.PreparedRequest, **options: Any) -> None:
        request.headers[_TARGET] = super().request_url(request, options["proxies"])


def _pool(base: type, now: threading.local) -> type:
    """Return a pool whose connections take their target from the header, and from `now` where they
    may go and who watches them."""

    class Connection(base.ConnectionCls):  # type: ignore[misc, name-defined]
        debuglevel = 0  # http.client's own would print headers

        def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            headers = dict(options.pop("headers", None) or {})
            target = headers.pop(_TARGET, url)
            return super().request(method, target, *args, headers=headers, **options)

        def response_class(self, *args: Any, **options: Any) -> HTTPResponse:
            return _Response(now.watch, *args, **options)

        def _new_conn(self) -> Any:
            target: Target | None = now.target
            if target is None or target.allowed is None:
                return super()._new_conn()
            name: str = self._dns_host  # type: ignore[has-type]
            problem = None
            for address in target.check():
                self._dns_host = address
                try:
                    return super()._new_conn()
                except HTTPError as error:
                    problem = error
                finally:
                    self._dns_host = name
            assert problem is not None
            raise problem

    return type(base.__name__, (base,), {"ConnectionCls": Connection})


class _Response(HTTPResponse):
    """An answer whose every byte is seen by a `Watch`."""

    def __init__(self, watch: Watch, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._watch = watch
        # The file is kept, though not read from: the socket stays open as long as it does.
        self.fp = _Reader(_Watched(sock, self.fp.detach(), watch), _BUFFER)

    def begin(self) -> None:
        self._watch.in_head = True
        super().begin()
        self._watch.in_head = False
        del self._watch  # a connection keeps its last answer, which may keep nothing else
        # What is no header would be logged by urllib3, whatever it is.
        self.msg.defects.clear()
        self.msg.set_payload("")


class _Watched(io.RawIOBase):
    """A socket's bytes; while none come the watch is asked again and again."""

    def __init__(self, sock: Any, file: Any, watch: Watch) -> None:
        super().__init__()
        self._socket, self._file, self._watch = sock, file, watch
        self._seconds: float | None = sock.gettimeout()
        sock.settimeout(
            _LOOK_SECONDS if self._seconds is None else min(_LOOK_SECONDS, self._seconds)
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        silent = 0.0
        while True:
            self._watch.check()
            try:
                count: int = self._socket.recv_into(buffer)
            except TimeoutError:
                silent += _LOOK_SECONDS
                if self._seconds is not None and silent >= self._seconds:
                    raise
            else:
                self._watch.came(count)
                return count

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):  # it may be closed already
                self._socket.settimeout(self._seconds)
            self._file.close()
        super().close()


class _Reader(io.BufferedReader):
    """Reads no line of any length, as urllib3 does at the beginning of chunks."""

    def readline(self, size: int | None = -1, /) -> bytes:
        most = _LONGEST_LINE + 1
        if size is not None and 0 <= size <= most:
            return super().readline(size)
        line = super().readline(most)
        if len(line) == most:
            raise LineTooLong("line")
        return line
