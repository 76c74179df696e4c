"""A requests session that does as it is told, and nothing on its own.

Imported late, since it imports requests.
"""

from __future__ import annotations

from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

_CONNECTIONS = 64
_TARGET = "X-Upscale-Bridge-Target"


class Session(requests.Session):
    """No cookies, no retries, no redirects, no passwords of a netrc file; proxies as usual."""

    def __init__(self, allowed: Callable[[str], bool] | None = None) -> None:
        """`allowed` tells of an IP address whether connections to it are kept.

        It is asked when a connection stands and nothing was sent yet, whatever a name led to when
        it was looked up before. Proxies are not used then.
        """
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.auth = lambda request: request  # else requests asks the netrc file
        self.trust_env = allowed is None
        adapter = _Adapter(allowed)
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

    def __init__(self, allowed: Callable[[str], bool] | None) -> None:
        self._pools = {
            "http": _pool(HTTPConnectionPool, allowed),
            "https": _pool(HTTPSConnectionPool, allowed),
        }
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        return super().request_url(request, proxies).partition("?")[0]

    def add_headers(self, request: requests.PreparedRequest, **options: Any) -> None:
        request.headers[_TARGET] = super().request_url(request, options["proxies"])


def _pool(base: type, allowed: Callable[[str], bool] | None) -> type:
    """Return a pool whose connections take their target from the header."""

    class Connection(base.ConnectionCls):  # type: ignore[misc, name-defined]
        def request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            headers = dict(options.pop("headers", None) or {})
            target = headers.pop(_TARGET, url)
            return super().request(method, target, *args, headers=headers, **options)

        def _new_conn(self) -> Any:
            connected = super()._new_conn()
            if allowed is not None and not allowed(connected.getpeername()[0]):
                connected.close()
                raise NewConnectionError(self, "this address is not allowed")
            return connected

    return type(base.__name__, (base,), {"ConnectionCls": Connection})
