"""What is meant for this machine or a private network never goes to a proxy."""

import contextlib
import socket
import sys
import traceback
import types

import pytest

from tests.fakes import faults
from tests.fakes.service import TLS, FakeService
from tests.raw_server import RawServer, answered
from upscale_bridge.contract.http import Call
from upscale_bridge.errors import BadReplyError, DownloadError, TransportError
from upscale_bridge.monitor import Monitor
from upscale_bridge.network.downloads import download
from upscale_bridge.network.transport import Transport, fetch_public, post_public
from upscale_bridge.storage.keys import Secret

KEY = "sk_aBcDeFgH-0123456789"
SUBMIT = Call("POST", "/v3/async/upscale", b"an image" * 100)
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (*VARIABLES, "no_proxy", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy():
    """A proxy that hears everything and passes on nothing."""
    with RawServer(answered(b"{}", "403 Forbidden")) as made:
        yield made


@pytest.fixture
def target(tmp_path):
    return tmp_path / "result.part"


def at(*addresses):
    return lambda host: list(addresses)


def line_to(url, look_up=lambda host: ["127.0.0.1"]):
    return Transport(url, "Authorization", "Bearer ", Secret(KEY), look_up)


def go_on():
    """Do not stop."""


OPTIONS = {"stop": go_on, "limit": 1 << 20, "read_seconds": 60.0}


def nobody(*args, **options):
    raise socket.gaierror(-2, "Name or service not known")


def send_all(line, base_url, target):
    """Call, submit, upload and fetch; tell what came of each."""
    found = []
    for call, once in (
        (Call("GET", "/healthz"), False),
        (SUBMIT, True),
        (Call("PUT", f"{base_url}/put/a?sig=1", b"an image"), False),
    ):
        found.append(line.send(call, once=once, **OPTIONS).status)
    found.append(line.fetch(f"{base_url}/files/a.png", target, progress=print, **OPTIONS))
    return found


@pytest.mark.parametrize("tls", [None, TLS], ids=["plain", "encrypted"])
@pytest.mark.parametrize("variable", [*VARIABLES, "of the operating system"])
def test_this_machine_is_not_asked_through_a_proxy(monkeypatch, proxy, target, variable, tls):
    """requests takes those of the system from the registry, or from macOS, through urllib."""
    if variable in VARIABLES:
        monkeypatch.setenv(variable, proxy.url)
    else:
        found = {"http": proxy.url, "https": proxy.url}
        monkeypatch.setattr("requests.utils.getproxies", lambda: found)
        monkeypatch.setattr("requests.utils.proxy_bypass", lambda host: False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS[0]))
    with FakeService(key=KEY, tls=tls) as service:
        send_all(line_to(service.base_url), service.base_url, target)
        assert len(service.requests) == 4
    assert proxy.heads == []


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["192.168.1.5", "fd00::1"], ["169.254.1.1"], ["::1"]]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_names_that_lead_to_private_addresses_are_private(monkeypatch, proxy, scheme, addresses):
    monkeypatch.setenv("all_proxy", proxy.url)
    asked = []

    def connect(address, *args, **options):
        asked.append(address[0])
        raise OSError("nobody is there")

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    line = line_to(f"{scheme}://lan.example:8000", at(*addresses))
    with pytest.raises(TransportError) as caught:
        line.send(SUBMIT, once=True, **OPTIONS)
    assert not caught.value.sent
    assert asked == (addresses if scheme == "http" else ["lan.example"])
    assert proxy.heads == []


def test_plain_http_to_an_unknown_name_goes_nowhere(monkeypatch, proxy, target):
    monkeypatch.setenv("all_proxy", proxy.url)
    for action in (
        lambda line: line.send(SUBMIT, once=True, **OPTIONS),
        lambda line: line.send(Call("GET", "/a"), **OPTIONS),
        lambda line: line.fetch("http://lan.example/a", target, progress=print, **OPTIONS),
    ):
        with pytest.raises(TransportError, match=r"Cannot look up lan\.example") as caught:
            action(line_to("http://lan.example", at()))
        assert not caught.value.sent
    assert proxy.heads == []


def test_redirect_to_a_private_address_leaves_the_proxy_out(monkeypatch, proxy, target):
    with FakeService() as service, FakeService() as elsewhere:
        monkeypatch.setenv("http_proxy", proxy.url)
        service.faults["download"].append(faults.redirect(f"{elsewhere.base_url}/healthz"))
        line = line_to(service.base_url)
        line.fetch(f"{service.base_url}/files/a.png", target, progress=print, **OPTIONS)
        assert len(elsewhere.requests) == 1
    assert proxy.heads == []


@pytest.mark.parametrize("found", [["93.184.216.34"], [], ["93.184.216.34", "10.0.0.1"]])
def test_public_hosts_go_through_a_tunnel_and_show_the_proxy_nothing(monkeypatch, proxy, found):
    monkeypatch.setenv("https_proxy", proxy.url)
    with pytest.raises(TransportError) as caught:
        line_to("https://public.example", at(*found)).send(SUBMIT, once=True, **OPTIONS)
    assert not caught.value.sent
    (head,) = proxy.heads
    assert head.startswith("CONNECT public.example:443 HTTP/1.")
    assert KEY not in head


def test_public_file_of_a_private_service_goes_through_the_proxy_without_the_key(
    monkeypatch, proxy, target
):
    monkeypatch.setenv("http_proxy", proxy.url)
    names = {"lan.example": ["10.0.0.1"], "public.example": ["93.184.216.34"]}
    line = line_to("http://lan.example", names.__getitem__)
    url = "http://public.example/a%2Fb?c=%3D"
    assert line.fetch(url, target, progress=print, **OPTIONS) == 403
    (head,) = proxy.heads
    assert head.startswith(f"GET {url} HTTP/1.1\r\n")
    assert KEY not in head


def test_strangers_addresses_know_no_proxy(monkeypatch, proxy):
    for name in VARIABLES:
        monkeypatch.setenv(name, proxy.url)
    for url in ("http://public.example/a", "https://public.example/a"):
        with pytest.raises(TransportError):
            fetch_public(url, 1000, 1.0, look_up=at("127.0.0.1"))
        with pytest.raises(TransportError):
            post_public(url, b"{}", {}, look_up=at("127.0.0.1"))
    assert proxy.heads == []


BAD_PROXIES = (
    "http://me:hushhush@127.0.0.1:1",
    "http://me:hushhush@[bad",
    "http://me:hushhush@",
    "http://me:hushhush@127.0.0.1:port",
    "ftp://me:hushhush@127.0.0.1:1",
    "socks5://me:hushhush@127.0.0.1:1",
    "me:hushhush@127.0.0.1:1",
    "hushhush",
)


@pytest.mark.parametrize("url", BAD_PROXIES)
def test_password_of_a_proxy_is_not_shown(monkeypatch, caplog, target, url):
    caplog.set_level("DEBUG")
    for name in VARIABLES:
        monkeypatch.setenv(name, url)
    monkeypatch.setattr("upscale_bridge.network.transport.resolve", at("93.184.216.34"))
    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    line = line_to("https://public.example", at("93.184.216.34"))
    monitor = Monitor()
    for action in (
        lambda: line.send(SUBMIT, once=True, **OPTIONS),
        lambda: line.send(Call("GET", "/a"), **OPTIONS),
        lambda: line.fetch("https://public.example/a", target, progress=print, **OPTIONS),
        lambda: download("https://public.example/a.pth", target, monitor),
    ):
        with pytest.raises((TransportError, BadReplyError, DownloadError)) as caught:
            action()
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        # Another machine's own name may be shown, its password may not.
        assert "hushhush@" not in shown.replace("hushhush:", "")
        assert "me:hushhush" not in shown
    assert "me:hushhush" not in caplog.text


def test_socks_proxy_is_used_and_not_passed_by(monkeypatch):
    """Its connections are of another kind; PySocks is not needed here."""
    from upscale_bridge.network.sessions import _Adapter

    asked = []

    class Pool:
        class ConnectionCls:
            def _new_conn(self):
                asked.append("socks")
                raise OSError

    manager = types.SimpleNamespace(pool_classes_by_scheme={"http": Pool, "https": Pool})
    monkeypatch.setattr(
        sys.modules["requests.adapters"], "SOCKSProxyManager", lambda *a, **o: manager
    )
    now = types.SimpleNamespace(target=None, watch=None)
    made = _Adapter(now).proxy_manager_for("socks5://127.0.0.1:1")
    with contextlib.suppress(OSError):
        made.pool_classes_by_scheme["https"].ConnectionCls()._new_conn()
    assert asked == ["socks"]
