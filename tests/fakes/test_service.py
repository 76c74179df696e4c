"""The stand-in speaks like each vendor."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.fakes.asking import MODEL, PNG, TEXT, finished, novita, opened, photio, result, wavespeed
from tests.fakes.service import PHASES, TLS, FakeService

DATA = Path(__file__).parents[1] / "data"
RESULT = "/v3/async/task-result?task_id={}"


@pytest.fixture
def service():
    with FakeService() as made:
        yield made


# --- vendors


def test_novita(service):
    reply = novita(service)
    assert reply.status_code == 200
    found = result(service, reply.json()["task_id"]).json()
    assert found["task"]["status"] == "TASK_STATUS_SUCCEED"
    picture = requests.get(found["images"][0]["image_url"], timeout=5)
    assert picture.headers["Content-Type"] == "image/png"
    assert opened(picture.content).size == (50, 25)
    assert [service.count(phase) for phase in PHASES] == [1, 1, 0, 0, 0, 1, 0, 0]
    assert [request.outcome for request in service.requests] == [200, 200, 200]


def test_a_task_is_remembered_without_its_image(service):
    novita(service, headers={"Idempotency-Key": "a"})
    (task,) = service.tasks
    assert task.operation == "/v3/async/upscale"
    assert task.body["request"] == {"model_name": "4x-UltraSharp", "scale_factor": 2.5}
    assert (task.size, task.source, task.idempotency_key) == ((20, 10), "base64", "a")
    assert task.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/async/upscale", {"request": {"image_base64": TEXT, "scale_factor": 2}}),
        ("/v3/async/image-upscaler", {"image": TEXT, "resolution": "16k"}),
        ("/v3/async/image-upscaler", {"image": "data:image/png;base64,AAAA"}),
        ("/v3/async/image-upscaler", {"resolution": "2k"}),
        (MODEL, {"image": TEXT, "output_format": "bmp"}),
    ],
)
def test_what_is_not_accepted_is_not_billed(service, path, body):
    assert requests.post(service.base_url + path, json=body, timeout=5).status_code == 400
    assert service.tasks == []


def test_novita_image_upscaler_fetches_no_address(service):
    body = {"image": "https://example.invalid/a.png", "resolution": "4k", "output_format": "webp"}
    url = f"{service.base_url}/v3/async/image-upscaler"
    requests.post(url, json=body, timeout=5)
    (task,) = service.tasks
    assert (task.source, task.size, task.target) == ("url", (64, 48), (128, 96))


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"resize_mode": 0, "upscaling_resize": 3}, (60, 30)),
        ({"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 40}, (80, 40)),
        (
            {
                "resize_mode": 1,
                "upscaling_resize_w": 50,
                "upscaling_resize_h": 40,
                "upscaling_crop": True,
            },
            (50, 40),
        ),
    ],
)
def test_novita_v2(service, asked, size):
    body = {"image": TEXT, "upscaler_1": "R-ESRGAN 4x+", **asked}
    reply = requests.post(f"{service.base_url}/v2/upscale", json=body, timeout=5).json()
    url = f"{service.base_url}/v2/progress?task_id={reply['data']['task_id']}"
    data = requests.get(url, timeout=5).json()["data"]
    assert (data["status"], data["progress"]) == (2, 1)
    assert opened(requests.get(data["imgs"][0], timeout=5).content).size == size


def test_photio(service):
    reply = photio(service).json()
    assert reply["status_code"] == 200
    assert opened(base64.b64decode(reply["body"])).size == (80, 40)
    assert len(service.tasks) == 1


def test_wavespeed(service):
    data = wavespeed(service, target_resolution="2k", output_format="png")
    assert (data["status"], data["outputs"]) == ("created", [])
    for url in (data["urls"]["get"], data["urls"]["get"].removesuffix("/result")):
        again = requests.get(url, timeout=5).json()["data"]
        assert (again["status"], again["model"]) == ("completed", "wavespeed-ai/image-upscaler")
    assert opened(requests.get(again["outputs"][0], timeout=5).content).size == (64, 32)


def test_wavespeed_sync_and_base64(service):
    data = wavespeed(service, enable_sync_mode=True, enable_base64_output=True)
    assert data["status"] == "completed"
    picture = opened(base64.b64decode(data["outputs"][0]))
    assert (picture.format, picture.size) == ("JPEG", (128, 64))


def test_wavespeed_sync_that_takes_too_long():
    with FakeService(seconds=0.1, sync_limit=0.02) as service:
        data = wavespeed(service, enable_sync_mode=True)
        assert (data["status"], data["code"]) == ("processing", 5004)
        time.sleep(0.1)
        assert requests.get(data["urls"]["get"], timeout=5).json()["data"]["outputs"]


def test_wavespeed_ticket(service):
    about = {"filename": "a.png", "size": len(PNG), "content_type": "image/png"}
    url = f"{service.base_url}/api/v3/media/uploads"
    data = requests.post(url, json=about, timeout=5).json()["data"]
    ticket = data["upload"]
    with_key = {**ticket["headers"], "Authorization": "Bearer a"}
    for headers in ({}, with_key):
        assert requests.put(ticket["url"], PNG, headers=headers, timeout=5).status_code >= 400
    reply = requests.put(ticket["url"], PNG, headers=ticket["headers"], timeout=5)
    assert reply.status_code == 200
    wavespeed(service, data["download_url"])
    assert (service.tasks[0].source, service.tasks[0].size) == ("upload", (20, 10))


def test_wavespeed_legacy_upload(service):
    url = f"{service.base_url}/api/v3/media/upload/binary"
    data = requests.post(url, files={"file": ("a.png", PNG)}, timeout=5).json()["data"]
    assert data["size"] == len(PNG)
    wavespeed(service, data["download_url"])
    assert service.tasks[0].image == PNG


def test_wavespeed_fails_where_nothing_was_uploaded(service):
    data = wavespeed(service, f"{service.base_url}/uploads/none/a.png")
    data = requests.get(data["urls"]["get"], timeout=5).json()["data"]
    assert (data["status"], data["code"], len(service.tasks)) == ("failed", 1402, 1)


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


def recorded(name):
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def shape(value):
    """Return names and types; a list has the shape of its first item."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value)


@pytest.mark.parametrize(
    ("request_name", "replies", "poll"),
    [
        (
            "novita/upscale",
            ("upscale_reply", "task_result_succeed"),
            "/v3/async/task-result?task_id={}",
        ),
        (
            "novita/image_upscaler",
            ("image_upscaler_reply", "task_result_succeed"),
            "/v3/async/task-result?task_id={}",
        ),
        ("novita_v2/upscale", ("upscale_reply", "progress_succeed"), "/v2/progress?task_id={}"),
        ("photio/upscale", ("upscale_reply",), None),
        ("wavespeed/submit", ("submit_reply", "result_completed"), "/api/v3/predictions/{}/result"),
    ],
)
def test_recorded_requests_get_answers_of_the_recorded_shape(service, request_name, replies, poll):
    folder, request = request_name.partition("/")[0], recorded(f"{request_name}_request")
    url = f"{service.base_url}{request['path']}"
    found = [requests.post(url, json=request["body"], timeout=5)]
    if poll:
        url = f"{service.base_url}{poll.format(service.tasks[0].id)}"
        found.append(requests.get(url, timeout=5))
    for reply, name in zip(found, replies, strict=True):
        kept = recorded(f"{folder}/{name}")
        assert (reply.status_code, shape(reply.json())) == (kept["status"], shape(kept["body"]))


def test_recorded_files_are_complete():
    files = list(DATA.rglob("*.json"))
    assert len(files) > 70
    for path in files:
        kept = json.loads(path.read_text(encoding="utf-8"))
        sides = ({"status"}, {"method", "path", "headers"})
        assert kept.keys() - {"about", "source", "body"} in sides, path
        assert kept["source"] in ("seed", "official", "inferred"), path


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
    with FakeService(queued_seconds=0.05, seconds=0.1) as service:
        id = novita(service).json()["task_id"]
        seen = [result(service, id).json()["task"]["status"]]
        while seen[-1] != "TASK_STATUS_SUCCEED":
            seen.append(result(service, id).json()["task"]["status"])
        words = ["TASK_STATUS_QUEUED", "TASK_STATUS_PROCESSING", "TASK_STATUS_SUCCEED"]
        assert list(dict.fromkeys(seen)) == words
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
