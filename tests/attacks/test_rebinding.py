"""A name that leads elsewhere a moment later: what was checked is what is connected to."""

import contextlib
import re
import socket
import ssl
import sys
import threading

import pytest

from tests.fakes import faults
from tests.fakes.service import TLS, FakeService
from upscale_bridge.contract.http import Call
from upscale_bridge.errors import BadReplyError, TransportError
from upscale_bridge.network import addresses
from upscale_bridge.network.addresses import check_base_url
from upscale_bridge.network.transport import Transport, fetch_public, post_public
from upscale_bridge.storage.keys import Secret

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="127.0.0.2 is not set up there")

KEY = "sk_aBcDeFgH-0123456789"
SUBMIT = Call("POST", "/v3/async/upscale", b"an image" * 100)
GOOD, BAD = "127.0.0.2", "127.0.0.1"
OPTIONS = {"stop": lambda: None, "limit": 1 << 20, "read_seconds": 60.0}


class Listener:
    """Two servers on one port of two addresses; `heard` tells which was asked for what."""

    def __init__(self, *, tls):
        self.heard = []
        self._sockets = []
        for _ in range(50):
            first = socket.create_server((GOOD, 0))
            self.port = first.getsockname()[1]
            try:
                self._sockets = [(GOOD, first), (BAD, socket.create_server((BAD, self.port)))]
                break
            except OSError:
                first.close()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._context is not None:
            self._context.load_cert_chain(*TLS)

    def __enter__(self):
        for address, listener in self._sockets:
            threading.Thread(target=self._serve, args=(address, listener), daemon=True).start()
        return self

    def __exit__(self, *_):
        for _, listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, address, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.heard.append((address, ""))
                with contextlib.suppress(OSError), connection:
                    self._answer(address, connection)

    def _answer(self, address, connection):
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        size = re.search(rb"(?i)content-length: (\d+)", head)
        while size and len(head.partition(b"\r\n\r\n")[2]) < int(size[1]):
            head += connection.recv(4096)  # what is not read resets the connection
        self.heard[-1] = (address, head.decode("latin-1"))
        body = address.encode()
        lines = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(lines.encode() + body)
        connection.close()


class Changing:
    """A resolver whose answers follow each other; the last one stays."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host):
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise socket.gaierror(-2, "Name or service not known")
        return [found]


@pytest.fixture
def good_is_public(monkeypatch):
    """Take one address of this machine for a public one."""
    real = addresses.is_public
    monkeypatch.setattr(addresses, "is_public", lambda a: a == GOOD or real(a))


@pytest.fixture
def certificates(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS[0]))


def by_name(named):
    """Look up the service as public and what it names as `named` does."""
    return lambda host: ["93.184.216.34"] if host == "public.example" else named(host)


def test_result_is_fetched_from_the_address_that_was_checked(
    good_is_public, certificates, tmp_path
):
    with Listener(tls=True) as listener:
        named = Changing(GOOD, BAD)
        line = Transport("https://public.example", "A", "", Secret(KEY), by_name(named))
        url, target = f"https://localhost:{listener.port}/a.png?sig=1", tmp_path / "a"
        assert line.fetch(url, target, progress=print, **OPTIONS) == 200
        assert target.read_bytes() == GOOD.encode()
        assert [address for address, _ in listener.heard] == [GOOD]
        assert named.asked == 1
        for _ in range(2):  # a connection that is kept would be the checked one, too
            with pytest.raises(BadReplyError, match="private network"):
                line.fetch(url, target, progress=print, **OPTIONS)
        assert [address for address, _ in listener.heard] == [GOOD]


def test_upload_goes_to_the_address_that_was_checked(good_is_public, certificates):
    with Listener(tls=True) as listener:
        line = Transport(
            "https://public.example", "A", "", Secret(KEY), by_name(Changing(GOOD, BAD))
        )
        call = Call("PUT", f"https://localhost:{listener.port}/put", b"an image")
        assert line.send(call, **OPTIONS).body == GOOD.encode()
        assert [address for address, _ in listener.heard] == [GOOD]
        assert KEY not in listener.heard[0][1]


@pytest.mark.parametrize("once", [False, True])
def test_key_stays_in_the_private_network(monkeypatch, once):
    """A name of ours that leads to a public address by the time of the call."""
    with Listener(tls=False) as listener:
        url = f"http://lan.example:{listener.port}"
        monkeypatch.setattr(addresses, "is_public", lambda a: a == BAD)
        for answers in ([GOOD, BAD], [GOOD, BAD, GOOD], [GOOD, "", GOOD]):
            look_up = Changing(*answers)
            line = Transport(check_base_url(url, "X", look_up), "A", "", Secret(KEY), look_up)
            with pytest.raises(TransportError) as caught:
                line.send(SUBMIT, once=once, **OPTIONS)
            assert not caught.value.sent
        assert listener.heard == []
        look_up = Changing(GOOD, GOOD, BAD)
        line = Transport(check_base_url(url, "X", look_up), "A", "", Secret(KEY), look_up)
        assert line.send(SUBMIT, once=once, **OPTIONS).body == GOOD.encode()
        assert [address for address, _ in listener.heard] == [GOOD]
        assert f"Host: lan.example:{listener.port}\r\n" in listener.heard[0][1]


def test_name_with_a_forbidden_address_among_others_is_not_used(monkeypatch):
    with Listener(tls=False) as listener:
        monkeypatch.setattr(addresses, "is_public", lambda a: a == BAD)
        line = Transport(
            f"http://lan.example:{listener.port}", "A", "", Secret(KEY), lambda host: [GOOD, BAD]
        )
        with pytest.raises(TransportError):
            line.send(SUBMIT, once=True, **OPTIONS)
        assert listener.heard == []


def test_next_address_is_tried_when_one_does_not_answer(monkeypatch):
    with FakeService(key=KEY) as service:
        look_up = Changing("127.0.0.2")  # nobody listens there
        line = Transport(f"http://lan.example:{service.port}", "A", "", Secret(KEY), look_up)
        with pytest.raises(TransportError, match="Cannot reach lan"):
            line.send(Call("GET", "/healthz"), **OPTIONS)
        line = Transport(
            f"http://lan.example:{service.port}", "A", "", Secret(KEY), lambda host: [GOOD, BAD]
        )
        assert line.send(Call("GET", "/healthz"), **OPTIONS).status == 404


def test_stranger_is_fetched_from_and_told_at_the_address_that_was_checked():
    def allowed(address):
        return address == GOOD

    with Listener(tls=False) as listener:
        url = f"http://evil.example:{listener.port}/a"
        found = fetch_public(url, 1000, 5.0, allowed, Changing(GOOD, BAD))
        assert found == GOOD.encode()
        assert post_public(url, b"{}", {}, allowed, Changing(GOOD, BAD)) == 200
        assert [address for address, _ in listener.heard] == [GOOD, GOOD]
        for look_up in (Changing(BAD), lambda host: [GOOD, BAD], Changing("")):
            with pytest.raises(TransportError):
                fetch_public(url, 1000, 5.0, allowed, look_up)
            with pytest.raises(TransportError) as caught:
                post_public(url, b"{}", {}, allowed, look_up)
            assert not caught.value.sent
        assert len(listener.heard) == 2


def test_each_redirect_is_looked_up_anew():
    with FakeService() as service:
        service.faults["health"].append(faults.redirect(f"http://evil.example:{service.port}/a"))
        look_up = Changing(BAD, GOOD)
        with pytest.raises(TransportError):
            fetch_public(
                f"http://first.example:{service.port}/healthz",
                1000,
                5.0,
                lambda address: address == BAD,
                look_up,
            )
        assert (len(service.requests), look_up.asked) == (1, 2)
