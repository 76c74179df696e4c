"""Each fault of the stand-in does what it says, once."""

import base64
import email.utils
import json
import selectors
import threading
import time
from contextlib import contextmanager

import pytest
import requests

from tests.fakes import faults, pictures
from tests.fakes.asking import finished, novita, opened, photio, result
from tests.fakes.service import TLS, FakeService


@pytest.fixture
def service():
    with FakeService() as made:
        yield made


@contextmanager
def broken(exception=requests.ConnectionError):
    with pytest.raises(exception):
        yield


@pytest.mark.parametrize(
    ("fault", "tasks"),
    [
        (faults.reset_before_accept(), 0),
        (faults.reset_before_accept(read=False), 0),
        (faults.reset_after_accept(), 1),
        (faults.drop_answer(), 1),
        (faults.drop_answer(accept=False), 0),
    ],
)
def test_broken_submits(service, fault, tasks):
    service.faults["submit"].append(fault)
    with broken():
        novita(service)
    assert len(service.tasks) == tasks
    assert service.requests[0].outcome == fault.name
    assert novita(service).status_code == 200


def test_a_reset_under_tls():
    with FakeService(tls=TLS) as service, broken():
        service.faults["health"].append(faults.reset_before_accept())
        requests.get(f"{service.base_url}/healthz", timeout=5, verify=str(TLS[0]))


@pytest.mark.parametrize(
    ("fault", "status", "text", "tasks"),
    [
        (faults.answer(503, {"message": "busy"}, {"Retry-After": "1"}), 503, "busy", 0),
        (faults.answer(200, b"{"), 200, "{", 0),
        (faults.answer_after_accept(500, "oops"), 500, "oops", 1),
        (faults.html_200(), 200, "sign in", 0),
        (faults.html_200(accept=True), 200, "sign in", 1),
        (faults.refused("balance", "top up"), 400, "BILLING_BALANCE_NOT_ENOUGH", 0),
        (faults.not_found(), 404, "API_NOT_FOUND", 0),
        (faults.retry_after(3), 429, "RATE_LIMIT_EXCEEDED", 0),
    ],
)
def test_answers(service, fault, status, text, tasks):
    service.faults["submit"].append(fault)
    reply = novita(service)
    assert (reply.status_code, len(service.tasks)) == (status, tasks)
    assert text in reply.text


def test_retry_after(service):
    service.faults["poll"].extend([faults.retry_after(3), faults.retry_after_date(60, status=503)])
    assert result(service, "a").headers["Retry-After"] == "3"
    reply = result(service, "a")
    when = email.utils.parsedate_to_datetime(reply.headers["Retry-After"]).timestamp()
    assert reply.status_code == 503
    assert 50 < when - time.time() < 65


def test_redirect(service):
    url = finished(service)
    service.faults["download"].extend([faults.redirect("http://localhost:1/"), faults.redirect()])
    reply = requests.get(url, timeout=5, allow_redirects=False)
    assert (reply.status_code, reply.headers["Location"]) == (302, "http://localhost:1/")
    assert requests.get(url, timeout=5).url == url


@pytest.mark.parametrize("missing", [None, 1])
def test_truncated(service, missing):
    url = finished(service)
    service.faults["download"].append(faults.truncated(missing))
    with broken(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=5)


def test_a_closed_connection_is_noticed(service):
    service.faults["health"].append(faults.close_after())
    with requests.Session() as session:
        reply = session.get(f"{service.base_url}/healthz", timeout=5)
        assert reply.headers.get("Connection") is None
        # Until the end of the connection has arrived here, nobody can know of it.
        until = time.monotonic() + 5
        while not is_readable(session):
            assert time.monotonic() < until
            time.sleep(0.001)
        assert session.get(f"{service.base_url}/healthz", timeout=5).status_code == 404


def is_readable(session):
    """Tell whether anything, the end included, has arrived on a session's only connection."""
    (pool,) = session.get_adapter("http://").poolmanager.pools._container.values()
    connections = [one for one in pool.pool.queue if one is not None and one.sock is not None]
    return all(map(has_arrived, connections))


def has_arrived(connection):
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


@pytest.mark.parametrize("silent", [False, True])
def test_stall_until_released(service, silent):
    url, released = finished(service), threading.Event()
    service.faults["download"].append(faults.stall(released, silent=silent))
    timer = threading.Timer(0.05, released.set)
    timer.start()
    assert opened(requests.get(url, timeout=5).content).size == (50, 25)
    assert released.is_set()


def test_stall_for_ever(service):
    service.faults["submit"].append(faults.stall(silent=True, accept=False))
    with broken(requests.exceptions.ReadTimeout):
        requests.post(f"{service.base_url}/v3/async/upscale", b"{}", timeout=0.05)
    assert service.tasks == []


def test_drip(service):
    url = finished(service)
    service.faults["download"].append(faults.drip(pause=0.005, pieces=5))
    started = time.monotonic()
    assert opened(requests.get(url, timeout=5).content).size == (50, 25)
    assert time.monotonic() - started >= 0.02


def test_huge(service):
    url = finished(service)
    service.faults["download"].extend([faults.huge(2), faults.huge(), faults.gzip_bomb(2)])
    assert len(requests.get(url, timeout=5).content) == 2 << 20
    with requests.get(url, timeout=5, stream=True) as reply:
        assert sum(len(reply.raw.read(1 << 20)) for _ in range(4)) == 4 << 20
    reply = requests.get(url, timeout=5)
    assert int(reply.headers["Content-Length"]) < 10_000
    assert len(reply.content) == 2 << 20


def test_odd_json(service):
    id = novita(service).json()["task_id"]
    service.faults["poll"].extend(
        [faults.null_lists(), faults.string_numbers(), faults.duplicate_keys()]
    )
    assert result(service, id).json()["images"] is None
    assert result(service, id).json()["task"]["progress_percent"] == "100"
    text = result(service, id).text
    assert text.count('"status"') == 2
    assert json.loads(text)["task"]["status"] == "TASK_STATUS_SUCCEED"


def test_states_by_fault(service):
    id = novita(service).json()["task_id"]
    service.faults["poll"].extend(
        [faults.unknown_word("TASK_STATUS_UNKNOWN"), faults.not_found(), faults.failed("no luck")]
    )
    found = result(service, id).json()
    assert (found["task"]["status"], found["images"]) == ("TASK_STATUS_UNKNOWN", [])
    assert result(service, id).json()["reason"] == "TASK_NOT_FOUND"
    for _ in range(2):
        task = result(service, id).json()["task"]
        assert (task["status"], task["reason"]) == ("TASK_STATUS_FAILED", "no luck")


def test_failed_on_submit(service):
    service.faults["submit"].append(faults.failed("no luck"))
    assert photio(service).json() == {"status_code": 500, "body": "no luck"}
    assert len(service.tasks) == 1


@pytest.mark.parametrize(
    ("fault", "format", "size"),
    [
        (faults.smaller(), "PNG", (10, 5)),
        (faults.other_aspect(), "PNG", (100, 25)),
        (faults.wrong_type("gif"), "GIF", (64, 48)),
        (faults.bomb((5000, 4000)), "PNG", (5000, 4000)),
    ],
)
def test_spoilt_results(service, fault, format, size):
    url = finished(service)
    service.faults["download"].append(fault)
    reply = requests.get(url, timeout=5)
    picture = opened(reply.content)
    assert (picture.format, picture.size) == (format, size)
    assert reply.headers["Content-Type"] == "image/png"
    assert len(reply.content) < 10_000
    assert opened(requests.get(url, timeout=5).content).size == (50, 25)


def test_a_result_spoilt_by_its_submit(service):
    service.faults["submit"].extend([faults.smaller(), faults.smaller()])
    assert opened(base64.b64decode(photio(service).json()["body"])).size == (10, 5)
    url = finished(service)
    for _ in range(2):
        assert opened(requests.get(url, timeout=5).content).size == (10, 5)


def test_other_files(service):
    url = finished(service)
    service.faults["download"].extend([faults.wrong_type(), faults.expired()])
    assert requests.get(url, timeout=5).content == b"This is no picture.\n"
    reply = requests.get(url, timeout=5)
    assert (reply.status_code, reply.headers["Content-Type"]) == (403, "application/xml")


def test_a_bomb_is_small():
    assert len(pictures.bomb()) < 1000


def test_an_error_of_the_stand_in_is_not_hidden():
    with pytest.raises(ZeroDivisionError), FakeService() as service:
        service.faults["health"].append(faults.Fault("broken", lambda x: 1 / 0))
        with broken():
            requests.get(f"{service.base_url}/healthz", timeout=5)


def test_closing_ends_what_still_waits():
    waits = []

    def ask(url):
        try:
            waits.append(requests.get(url, timeout=5))
        except requests.RequestException as error:
            waits.append(error)

    with FakeService() as service:
        service.faults["health"].append(faults.stall())
        thread = threading.Thread(target=ask, args=(f"{service.base_url}/healthz",))
        thread.start()
        while not service.requests:
            time.sleep(0.005)
    thread.join(2)
    assert len(waits) == 1
