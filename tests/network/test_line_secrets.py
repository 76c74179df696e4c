"""Neither a key nor a signed address is shown by errors, their causes, or our logs."""

import logging
import traceback

import pytest

from tests.fakes import faults
from tests.fakes.service import TLS, FakeService
from tests.raw_server import RawServer, hang_up, say
from upscale_bridge.contract.http import Call
from upscale_bridge.errors import BadReplyError, TransportError
from upscale_bridge.network.transport import Transport
from upscale_bridge.storage.keys import Secret

KEY = "sk_aBcDeFgH-0123456789"
SIGNED = "/files/a.png?X-Amz-Credential=hushhush%2Fs3&X-Amz-Signature=hushhush"
IMAGE = b"hushhush" * 1000


@pytest.fixture(autouse=True)
def watched(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("upscale_bridge")]
    assert not any(hidden in text for text in ours for hidden in (KEY, "hushhush"))


def line_to(url):
    return Transport(url, "Authorization", "Bearer ", Secret(KEY))


def check(action):
    """Have an action fail and look at whatever a report of its error shows."""
    with pytest.raises((TransportError, BadReplyError)) as caught:
        action()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error)
    while error is not None and not error.__suppress_context__:
        error = error.__cause__ or error.__context__
        shown += repr(error)
    assert KEY not in shown
    assert "hushhush" not in shown
    assert str(caught.value).endswith(".")


def go_on():
    """Do not stop."""


def check_both(line, url, target):
    calls = [Call("POST", SIGNED, IMAGE), Call("GET", SIGNED), Call("PUT", url + SIGNED, IMAGE)]
    for call in calls:
        for once in (False, True):
            options = {"stop": go_on, "limit": 1000, "read_seconds": 0.05, "once": once}
            check(lambda call=call, options=options: line.send(call, **options))
    options = {"stop": go_on, "progress": print, "limit": 1000, "read_seconds": 0.05}
    check(lambda: line.fetch(url + SIGNED, target, **options))


def test_connections_that_fail(tmp_path):
    for talk in (hang_up, say("garbage"), say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}")):
        with RawServer(talk) as server:
            check_both(line_to(server.url), server.url, tmp_path / "a")
    check_both(line_to(server.url), server.url, tmp_path / "a")  # nobody listens any more


def test_certificates_that_nobody_knows(tmp_path, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with FakeService(tls=TLS) as service:
        check_both(line_to(service.base_url), service.base_url, tmp_path / "a")


@pytest.mark.parametrize(
    "fault",
    [faults.huge(1), faults.gzip_bomb(1), faults.reset_before_accept(), faults.stall(silent=True)],
)
def test_answers_that_are_refused(tmp_path, fault):
    with FakeService() as service:
        service.faults["download"].extend([fault] * 9)
        service.faults["submit"].extend([fault] * 9)
        line, url = line_to(service.base_url), service.base_url + SIGNED
        options = {"stop": go_on, "limit": 1000, "read_seconds": 0.05}
        check(lambda: line.fetch(url, tmp_path / "a", progress=print, **options))
        check(lambda: line.send(Call("GET", url), **options))
        call = Call("POST", "/v3/async/upscale?hushhush", IMAGE)
        check(lambda: line.send(call, once=True, **options))


@pytest.mark.parametrize(
    "to", ["http://me:hushhush@[bad", "ftp://a/hushhush", "http://:hushhush@/"]
)
def test_redirects_that_lead_nowhere(tmp_path, to):
    with FakeService() as service:
        service.faults["download"].append(faults.redirect(to))
        options = {"stop": go_on, "progress": print, "limit": 1000}
        line = line_to(service.base_url)
        check(lambda: line.fetch(service.base_url + SIGNED, tmp_path / "a", **options))


def test_secret_that_fits_into_no_header_is_not_shown(tmp_path):
    """Keys are checked where they are read; this is the second fence."""
    line = Transport("http://127.0.0.1:1", "Authorization", "Bearer ", Secret("hushhush\r\nX: y"))
    options = {"stop": go_on, "limit": 1000}
    check(lambda: line.send(Call("GET", "/a"), **options))
