"""A requests session that does as it is told, and nothing on its own.

Imported late, since it imports requests.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CONNECTIONS = 64
_TARGET = "X-Upscale-Bridge-Target"


class Session(requests.Session):
    """No cookies, no retries, no redirects, no passwords of a netrc file; proxies as usual."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = lambda request: request  # else requests asks the netrc file
        adapter = _Adapter(pool_maxsize=_CONNECTIONS)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See no redirect: requests would read its body without a limit."""


class _Adapter(HTTPAdapter):
    """Asks for addresses byte for byte, and without showing their queries.

    urllib3 rewrites the case of percent escapes, which a signature may cover, and logs whole
    targets, signatures included. So it gets to see the path alone; a header that never leaves this
    process carries the target past it.
    """

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return super().request_url(request, proxies).partition("?")[0]

    def add_headers(self, request: requests.PreparedRequest, **options: Any) -> None:
        request.headers[_TARGET] = super().request_url(request, options["proxies"])


class _Exact:
    """A connection that takes the target from the header."""

    def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        headers = dict(options.pop("headers", None) or {})
        target = headers.pop(_TARGET, url)
        return super().request(method, target, *args, headers=headers, **options)  # type: ignore[misc]


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = type("_HTTPConnection", (_Exact, HTTPConnectionPool.ConnectionCls), {})


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = type("_HTTPSConnection", (_Exact, HTTPSConnectionPool.ConnectionCls), {})


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}
