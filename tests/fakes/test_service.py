"""The stand-in takes tasks and answers like each vendor."""

import subprocess
import sys
from copy import deepcopy

import pytest
import requests

from tests.fakes.asking import MODEL, finished, novita, photio, result, wavespeed
from tests.fakes.service import TLS, FakeService
from tests.vendors import profiles
from upscale_bridge.contract.tasks import Done


@pytest.fixture
def service():
    with FakeService() as made:
        yield made


def test_a_task_is_remembered_without_its_image(service):
    novita(service, headers={"Idempotency-Key": "a"})
    (task,) = service.tasks
    assert task.operation == "/v3/async/upscale"
    assert task.body["request"] == {"model_name": "4x-UltraSharp", "scale_factor": 2.5}
    assert (task.size, task.source, task.idempotency_key) == ((20, 10), "base64", "a")
    assert task.headers["content-type"] == "application/json"


def test_results_are_good_byte_for_byte_and_without_a_key(service):
    url = finished(service)
    assert requests.get(url.replace("%2F", "/"), timeout=5).status_code == 403
    assert requests.get(url, headers={"Authorization": "Bearer a"}, timeout=5).status_code == 400
    assert requests.get(url, timeout=5).status_code == 200


def test_results_may_lie_on_another_host():
    with FakeService(files_host="localhost") as service:
        url = finished(service)
        assert url.startswith(f"http://localhost:{service.port}/files/")
        assert requests.get(url, timeout=5).status_code == 200


# --- recorded answers


def shape(value):
    """Return names and types; a list has the shape of its first item."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value)


def without_id(profile, body):
    """Return an answer whose id is empty: vendors may count, the stand-in's are texts."""
    *names, last = getattr(profile.operation.wire, "ticket_path", ("",))
    place = body
    for name in names:
        place = place.get(name) or {}
    if place.get(last):
        place[last] = ""
    return body


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda one: one.command)
def test_recorded_requests_get_answers_of_the_recorded_shape(service, profile):
    kept = profile.recorded[profile.submits[0].sample]
    found = {next(iter(profile.accepted)): (kept["method"], kept["path"], kept["body"])}
    if profile.words:
        found |= dict.fromkeys(
            [name for name, state in profile.states.items() if isinstance(state, Done)][:1]
        )
    for name, request in found.items():
        if request is None:
            call = profile.operation.wire.poll(service.tasks[0].id)
            request = call.method, call.url, None
        method, path, body = request
        reply = requests.request(method, service.base_url + path, json=body, timeout=5)
        kept = profile.recorded[name]
        told = without_id(profile, reply.json()), without_id(profile, deepcopy(kept["body"]))
        assert (reply.status_code, shape(told[0])) == (kept["status"], shape(told[1]))


# --- keys, time, idempotency, TLS


def test_keys():
    with FakeService(key="sk_right") as service:
        for given in ("Bearer sk_right", "sk_right"):
            assert novita(service, headers={"Authorization": given}).status_code == 200
        wrong = {"Authorization": "Bearer sk_wrong", "X-Photio-Key": "pt-wrong"}
        reply = novita(service, headers=wrong)
        assert (reply.status_code, reply.json()["reason"]) == (403, "INVALID_API_KEY")
        reply = novita(service)
        assert (reply.status_code, reply.json()["reason"]) == (400, "MISSING_API_KEY")
        reply = photio(service, headers=wrong)
        assert (reply.status_code, reply.json()["status_code"]) == (401, 401)
        assert photio(service, headers={"X-Photio-Key": "sk_right"}).status_code == 200
        url = f"{service.base_url}/v2/progress?task_id=a"
        assert requests.get(url, headers=wrong, timeout=5).json()["code"] == 4
        reply = requests.post(f"{service.base_url}{MODEL}", headers=wrong, json={}, timeout=5)
        assert (reply.status_code, reply.json()["code"]) == (401, 401)
        assert len(service.tasks) == 3


def test_time():
    with FakeService(queued_seconds=100, seconds=100) as service:
        id = novita(service).json()["task_id"]
        seen = []
        for gone in (0, 150, 100):
            service.tasks[0].created -= gone
            seen.append(result(service, id).json()["task"]["status"])
        assert seen == ["TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED"]
        novita(service)
        novita(service)
        assert service.most_unfinished == 2


def test_states():
    states = ["created", "thinking", "SUCCEEDED"]
    with FakeService(states=states) as service:
        url = wavespeed(service)["urls"]["get"]
        found = [requests.get(url, timeout=5).json()["data"] for _ in range(4)]
        assert [data["status"] for data in found] == [*states, "SUCCEEDED"]
        assert [len(data["outputs"]) for data in found] == [0, 0, 1, 1]


def test_idempotency(service):
    key = {"Idempotency-Key": "a"}
    assert requests.get(f"{service.base_url}/healthz", timeout=5).status_code == 404
    assert novita(service, headers=key).json() != novita(service, headers=key).json()
    with FakeService(idempotent=True) as ours:
        health = requests.get(f"{ours.base_url}/healthz", timeout=5).json()
        assert health == {"service": "upscale-bridge", "idempotent_submits": True}
        assert novita(ours, headers=key).json() == novita(ours, headers=key).json()
        assert photio(ours, headers=key).status_code == 409
        assert len(ours.tasks) == 1


def test_tls():
    with FakeService(tls=TLS) as service:
        assert service.base_url.startswith("https://localhost:")
        reply = requests.get(f"{service.base_url}/healthz", timeout=5, verify=str(TLS[0]))
        assert reply.status_code == 404
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{service.base_url}/healthz", timeout=5, verify=True)


def test_connections_are_kept(service):
    with requests.Session() as session:
        for _ in range(3):
            session.get(f"{service.base_url}/healthz", timeout=5)
        (pool,) = session.adapters["http://"].poolmanager.pools._container.values()
        assert pool.num_connections == 1


def test_alone():
    command = [sys.executable, "-m", "tests.fakes.service", "--states", "created,completed"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 404
        process.stdin.close()
        assert process.wait(5) == 0
