"""HTTP to a remote API on this machine: what arrives, what breaks, and what is known then."""

import base64
import gc
import socket
import threading
import weakref

import pytest

from tests.fakes import faults
from tests.fakes.asking import PNG, finished
from tests.fakes.service import TLS, FakeService
from tests.raw_server import RawServer, answered, hang_up, say
from upscale_bridge.contract.http import Call, post
from upscale_bridge.errors import BadReplyError, TransportError
from upscale_bridge.network.transport import Transport
from upscale_bridge.storage.keys import Secret

KEY = "sk_aBcDeFgH-0123456789"
SUBMIT = post(
    "/v3/async/upscale",
    {
        "request": {
            "model_name": "4x-UltraSharp",
            "image_base64": base64.b64encode(PNG).decode(),
            "scale_factor": 2,
        }
    },
)
LARGE = Call("POST", "/v3/async/upscale", b"x" * (32 << 20))
POLL = Call("GET", "/v3/async/task-result?task_id=none")
BLOCKS = 1 << 20


@pytest.fixture
def service():
    with FakeService(key=KEY) as made:
        yield made


def line_to(url, **options):
    return Transport(url, "Authorization", "Bearer ", Secret(KEY), **options)


def go_on():
    """Do not stop."""


def send(line, call, **options):
    return line.send(call, **{"stop": go_on, "limit": BLOCKS, **options})


def fetch(line, url, target, **options):
    options = {"stop": go_on, "progress": lambda *_: None, "limit": BLOCKS, **options}
    return line.fetch(url, target, **options)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "result.part"


# --- what arrives


@pytest.mark.parametrize("once", [False, True])
def test_answers_come_with_status_body_and_lower_case_headers(service, once):
    line = line_to(service.base_url)
    reply = send(line, SUBMIT, once=once)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json()["task_id"] == service.tasks[0].id
    assert service.tasks[0].image == PNG
    assert send(line, POLL).status == 404


def test_what_an_answer_was_for_is_not_kept_with_its_connection(service):
    line = line_to(service.base_url)

    class Task:
        def __init__(self, line):
            self.line = line

        def check(self):
            """Do not stop."""

    task = Task(line)
    known = weakref.ref(task)
    assert send(line, POLL, stop=task.check).status == 404
    del line, task
    gc.collect()
    assert known() is None


def test_body_is_sent_with_its_length_and_in_order():
    body = bytes(range(256)) * 5000
    got = []

    def talk(server, connection, head):
        data = b""
        while len(data) < len(body):
            data += connection.recv(1 << 16)
        got.append(data)
        answered()(server, connection, head)

    with RawServer(talk) as server:
        send(line_to(server.url + "/prefix"), Call("POST", "/a?b=c", body, {"X-A": "b"}), once=True)
        assert got == [body]
        assert server.heads[0].startswith("POST /prefix/a?b=c HTTP/1.1\r\n")
        assert f"Content-Length: {len(body)}\r\n" in server.heads[0]
        assert "X-A: b\r\n" in server.heads[0]
        assert "chunked" not in server.heads[0].lower()


def test_result_is_fetched_whole_and_reported(service, target):
    url = finished_with_key(service)
    steps = []
    status = fetch(line_to(service.base_url), url, target, progress=lambda *s: steps.append(s))
    assert status == 200
    assert target.read_bytes()[:4] == b"\x89PNG"
    size = target.stat().st_size
    assert steps[-1] == (size, size)
    assert steps == sorted(steps)


def finished_with_key(service):
    service.key = None
    url = finished(service)
    service.key = KEY
    return url


@pytest.mark.parametrize("status", [204, 403, 404, 429, 500])
def test_result_that_is_not_there_leaves_no_file(service, target, status):
    url = finished_with_key(service)
    service.faults["download"].append(faults.answer(status, b"no"))
    assert fetch(line_to(service.base_url), url, target) == status
    assert not target.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/files/a%2Fb%3D~+%20c.png?X-Amz-Credential=A%2F2024%2Fs3&sig=a%3D~+%20b",
        "/files/lower%2fcase.png?sig=a%3d%2f",
        "/files/mixed%2f%2F.png?sig=%3d%3D",
        "//double//slash/../dots/./a.png?x=../..",
        "/a.png?empty=&alone&&twice=1&twice=2",
        "/a;b=c,d!$*(e):@f",
    ],
)
def test_signed_address_is_kept_byte_for_byte(target, path):
    with RawServer(answered(b"abc")) as server:
        assert fetch(line_to(server.url), server.url + path, target) == 200
        assert server.heads[0].split("\r\n")[0] == f"GET {path} HTTP/1.1"


def test_connection_that_the_server_closed_does_not_hurt_a_paid_call(service):
    line = line_to(service.base_url)
    service.faults["poll"].append(faults.close_after())
    assert send(line, POLL).status == 404
    assert send(line, SUBMIT, once=True).status == 200
    assert len(service.tasks) == 1


def test_paid_call_does_not_go_over_a_connection_that_was_used():
    """The server may be about to close it; nobody would know then whether the call arrived."""

    def talk(server, connection, head):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.recv(1 << 16)
        hang_up(server, connection, head)

    with RawServer(talk) as server:
        line = line_to(server.url)
        send(line, POLL)
        assert send(line, SUBMIT, once=True).status == 200
        assert len(server.heads) == 2


def test_threads_share_a_line(service):
    line, found = line_to(service.base_url), []
    threads = [
        threading.Thread(target=lambda: found.append(send(line, SUBMIT).status)) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 12


# --- what certainly did not arrive


def sent_of(line, call=SUBMIT, **options):
    with pytest.raises(TransportError) as caught:
        send(line, call, **options)
    assert str(caught.value).endswith(".")
    return caught.value.sent


@pytest.mark.parametrize("once", [False, True])
def test_refused_connection_sends_nothing(once):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert sent_of(line_to(url), once=once) is False


def test_unknown_name_sends_nothing(monkeypatch):
    def getaddrinfo(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert sent_of(line_to("https://nobody.example"), once=True) is False


def test_unknown_certificate_sends_nothing(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with FakeService(tls=TLS) as service:
        assert sent_of(line_to(service.base_url), once=True) is False
        assert service.requests == []


def test_server_that_speaks_no_tls_gets_nothing():
    with RawServer(say("HTTP/1.1 400 Bad\r\n\r\n"), read_head=False) as server:
        assert sent_of(line_to(server.url.replace("http", "https")), once=True) is False


@pytest.mark.parametrize("read_head", [True, False])
def test_reset_before_the_body_was_handed_over_means_that_nothing_was_accepted(read_head):
    with RawServer(hang_up, read_head=read_head) as server:
        assert sent_of(line_to(server.url), LARGE, once=True) is False
        assert len(server.heads) == 1


def test_early_answer_to_a_large_body_is_heard_or_nothing_was_accepted():
    with RawServer(answered(b"too large", "413 Too Large")) as server:
        try:
            assert send(line_to(server.url), LARGE, once=True).status == 413
        except TransportError as error:
            assert not error.sent


# --- what may have arrived


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize(
    "fault", [faults.reset_after_accept(), faults.drop_answer(), faults.truncated()]
)
def test_broken_answers_may_have_been_accepted(service, fault, once):
    service.faults["submit"].append(fault)
    assert sent_of(line_to(service.base_url), once=once) is True
    assert len(service.tasks) == 1
    assert service.count("submit") == 1


@pytest.mark.parametrize("silent", [True, False])
def test_silence_may_mean_acceptance(service, silent):
    service.faults["submit"].append(faults.stall(silent=silent))
    assert sent_of(line_to(service.base_url), once=True, read_seconds=0.05) is True
    assert service.count("submit") == 1


@pytest.mark.parametrize(
    "text",
    [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /\xff\xfe\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    ],
)
def test_garbage_is_no_surprise(target, text):
    """Either an answer or one of our errors; anything else would end the program."""
    with RawServer(say(text)) as server:
        line = line_to(server.url)
        for action in (
            lambda: send(line, SUBMIT, once=True),
            lambda: fetch(line, server.url, target),
        ):
            try:
                action()
            except TransportError as error:
                assert error.sent
            except BadReplyError:
                pass


def test_redirect_of_a_call_is_not_followed(service):
    for status in (301, 302, 303, 307, 308):
        service.faults["submit"].append(faults.redirect(f"{service.base_url}/healthz", status))
        assert send(line_to(service.base_url), SUBMIT, once=True).status == status
    assert (service.count("submit"), service.count("health"), service.tasks) == (5, 0, [])
