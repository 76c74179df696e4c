"""What a remote host cannot make us do: read for ever, go elsewhere, or miss a stop."""

import contextlib
import tracemalloc

import pytest

from tests.fakes import faults
from tests.fakes.asking import finished
from tests.fakes.service import TLS, FakeService
from tests.raw_server import RawServer
from upscale_bridge.contract.http import Call
from upscale_bridge.errors import BadReplyError, StoppedError, TransportError
from upscale_bridge.network.transport import Transport
from upscale_bridge.storage.keys import Secret

KEY = "sk_aBcDeFgH-0123456789"
SUBMIT = Call("POST", "/v3/async/upscale", b"{}")
HEALTH = Call("GET", "/healthz")
LARGE = Call("POST", "/v3/async/upscale", b"x" * (32 << 20))
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service():
    with FakeService() as made:
        yield made


@pytest.fixture
def target(tmp_path):
    return tmp_path / "result.part"


@pytest.fixture
def encrypted(monkeypatch):
    """A service at https://localhost whose results lie at https://127.0.0.1."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS[0]))
    with FakeService(tls=TLS, files_host="127.0.0.1") as made:
        yield made


def line_to(url, header="Authorization", scheme="Bearer ", **options):
    return Transport(url, header, scheme, Secret(KEY), **options)


def public(host):
    """Take this machine's name for a public host, but not its number."""
    return ["93.184.216.34"] if host == "localhost" else ["127.0.0.1"]


def go_on():
    """Do not stop."""


def send(line, call, **options):
    return line.send(call, **{"stop": go_on, "limit": MEGABYTE, **options})


def fetch(line, url, target, **options):
    options = {"stop": go_on, "progress": lambda *_: None, "limit": MEGABYTE, **options}
    return line.fetch(url, target, **options)


def stopping(when):
    """Return a `stop` that raises as soon as `when()` holds."""

    def stop():
        if when():
            raise StoppedError

    return stop


# --- the key


def keys_in(requests):
    return [KEY in str(request.headers) for request in requests]


@pytest.mark.parametrize(("header", "scheme"), [("Authorization", "Bearer "), ("X-Photio-Key", "")])
def test_key_goes_to_paths_of_the_base_url_only(service, target, header, scheme):
    url = finished(service)
    service.requests.clear()
    line = line_to(service.base_url, header, scheme)
    send(line, HEALTH)
    send(line, SUBMIT, once=True)
    send(line, Call("GET", f"{service.base_url}/healthz"))
    send(line, Call("PUT", f"{service.base_url}/put/a?sig=1", b"abc"), once=True)
    assert fetch(line, url, target) == 200
    assert keys_in(service.requests) == [True, True, False, False, False]
    assert service.requests[0].headers[header.lower()] == scheme + KEY


def test_key_does_not_follow_a_redirect(service, target):
    with FakeService() as elsewhere:
        service.faults["download"].append(faults.redirect(f"{elsewhere.base_url}/healthz"))
        service.faults["health"].append(faults.redirect(f"{elsewhere.base_url}/healthz"))
        line = line_to(service.base_url)
        assert send(line, HEALTH).status == 302
        assert elsewhere.requests == []
        fetch(line, finished(service), target)
        assert keys_in(elsewhere.requests) == [False]


def test_passwords_of_a_netrc_file_are_not_used(service, target, tmp_path, monkeypatch):
    text = "".join(
        f"machine {host}\nlogin me\npassword hush\n" for host in ("127.0.0.1", "localhost")
    )
    (tmp_path / ".netrc").write_text(text + "default login me password hush\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    line, url = line_to(service.base_url), finished(service)
    monkeypatch.setattr("tests.fakes.storage.check_signature", lambda *_: None)
    del service.requests[:]
    fetch(line, url, target)
    send(line, Call("GET", f"{service.base_url}/healthz"))
    send(line, HEALTH)
    assert [r.headers.get("authorization") for r in service.requests] == [
        None,
        None,
        f"Bearer {KEY}",
    ]


def test_cookies_are_not_kept(service):
    service.faults["health"].append(faults.answer(200, "{}", {"Set-Cookie": "a=b; Path=/"}))
    line = line_to(service.base_url)
    send(line, HEALTH)
    send(line, HEALTH)
    assert not any("cookie" in request.headers for request in service.requests)


# --- where results may come from


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_few_redirects_are_followed(service, target, most):
    url = finished(service)
    service.faults["download"].extend([faults.redirect()] * most)
    assert fetch(line_to(service.base_url), url, target) == 200
    assert service.count("download") == most + 1


def test_many_redirects_are_not_followed(service, target):
    url = finished(service)
    service.faults["download"].extend([faults.redirect(status=307)] * 9)
    with pytest.raises(BadReplyError, match="more than 3 times"):
        fetch(line_to(service.base_url), url, target)
    assert service.count("download") == 4
    assert not target.exists()


def test_public_service_leads_to_no_private_address(encrypted, target):
    line = line_to(encrypted.base_url, look_up=public)
    for url in (encrypted.files_url, "http://localhost:1", "https://169.254.169.254"):
        with pytest.raises(BadReplyError):
            fetch(line, f"{url}/files/a.png?sig=hush", target)
        with pytest.raises(BadReplyError):
            send(line, Call("PUT", f"{url}/put/a", b"abc"))
    assert encrypted.requests == []


def test_redirects_lead_to_no_private_address(encrypted, target):
    line = line_to(encrypted.base_url, look_up=public)
    encrypted.faults["download"].append(faults.redirect(f"{encrypted.files_url}/files/b.png"))
    with pytest.raises(BadReplyError, match="private"):
        fetch(line, f"{encrypted.base_url}/files/a.png", target)
    assert [request.path for request in encrypted.requests] == ["/files/a.png"]


# --- how much is read


@contextlib.contextmanager
def little_memory(most):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fault", [faults.huge(), faults.huge(64), faults.gzip_bomb(300)])
def test_no_more_than_the_limit_is_read(service, target, fault):
    line, url = line_to(service.base_url), finished(service)
    service.faults["submit"].append(fault)
    service.faults["download"].append(fault)
    with little_memory(12 * MEGABYTE):
        with pytest.raises(BadReplyError, match="sends more than 1 MB"):
            send(line, SUBMIT, once=True)
        with pytest.raises(BadReplyError, match="sends more than 1 MB"):
            fetch(line, url, target)


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found"])
def test_body_beside_a_result_is_not_read(target, status):
    def talk(server, connection, head):
        lines = f"HTTP/1.1 {status}\r\nLocation: /a\r\nContent-Length: {64 * MEGABYTE}\r\n\r\n"
        connection.sendall(lines.encode())
        server.pour(connection, 64 * MEGABYTE)

    with RawServer(talk) as server:
        with contextlib.suppress(BadReplyError):
            fetch(line_to(server.url), server.url, target)
        assert server.sent < 32 * MEGABYTE


@pytest.mark.parametrize("missing", [None, 1])
def test_result_that_breaks_off_is_not_taken_for_whole(service, target, missing):
    url = finished(service)
    service.faults["download"].append(faults.truncated(missing))
    with pytest.raises(TransportError) as caught:
        fetch(line_to(service.base_url), url, target)
    assert caught.value.sent


# --- stops


def test_stop_during_the_upload_ends_it_before_anything_was_accepted():
    def talk(server, connection, head):
        while connection.recv(1 << 16):
            pass

    with RawServer(talk) as server:
        line = line_to(server.url)
        with pytest.raises(StoppedError):
            send(line, LARGE, once=True, stop=stopping(lambda: server.heads))
