"""Every endpoint: what is accepted, what comes of it, and in whose words."""

import base64

import pytest

from tests.server.sockless import (
    BASE,
    PHOTIO,
    SUBMITS,
    TO_2K,
    V2,
    V3,
    WAVESPEED,
    image,
    novita,
    opened,
    photio,
    ticket,
    uri,
    v2,
    wavespeed,
)
from upscale_bridge.server import processing, worker
from upscale_bridge.server.replies import Wait

RESULT, PROGRESS = "/v3/async/task-result?task_id=", "/v2/progress?task_id="
PREDICTIONS = "/api/v3/predictions/"


def shape(server, url):
    return opened(server.file(url).body).size


# --- Novita v3


@pytest.mark.parametrize(
    ("path", "body", "size", "format"),
    [
        (V3, novita(), (24, 16), "png"),
        (V3, novita(response_image_type="jpeg"), (24, 16), "jpg"),
        (V3, novita(factor="1.5"), (18, 12), "png"),
        (V3, novita(factor=3, enable_nsfw_detection=True), (36, 24), "png"),
        (TO_2K, {"image": uri(image())}, (64, 43), "jpg"),
        (
            TO_2K,
            {"image": uri(image()), "resolution": "2k", "output_format": "webp"},
            (32, 21),
            "webp",
        ),
    ],
)
def test_novita_v3(server, path, body, size, format):
    name = ticket(server.post(path, body))
    before = server.get(RESULT + name).json()
    assert before["task"]["status"] == "TASK_STATUS_QUEUED"
    assert before["images"] == before["videos"] == []
    assert isinstance(before["extra"], dict)
    assert server.work() == 1
    after = server.get(RESULT + name).json()
    assert after["task"] == {
        "task_id": name,
        "task_type": "UPSCALE",
        "status": "TASK_STATUS_SUCCEED",
        "reason": "",
        "eta": 0,
        "progress_percent": 100,
    }
    (found,) = after["images"]
    assert found["image_type"] == format
    assert found["image_url_ttl"] == "3600"
    assert found["nsfw_detection_result"] is None
    assert shape(server, found["image_url"]) == size


def test_progress_is_a_whole_number(server):
    names = ticket(server.post(V3, novita())), ticket(server.post(V2, v2()))
    for _ in names:
        server.queue.advance(server.queue.take(), 0.456)
    task = server.get(RESULT + names[0]).json()["task"]
    assert (task["status"], task["progress_percent"]) == ("TASK_STATUS_PROCESSING", 46)
    data = server.get(PROGRESS + names[1]).json()["data"]
    assert (data["status"], data["progress"]) == (1, 46)
    assert isinstance(data["progress"], int)


@pytest.mark.parametrize("command", ["novita", "novita-v2", "wavespeed"])
def test_failure_is_told_with_its_reason(server, command):
    path, body = SUBMITS[command]
    name = ticket(server.post(path, body()))
    server.queue.fail(server.queue.take(), "Too dark.")
    if command == "novita":
        task = server.get(RESULT + name).json()["task"]
        assert (task["status"], task["reason"]) == ("TASK_STATUS_FAILED", "Too dark.")
    elif command == "novita-v2":
        data = server.get(PROGRESS + name).json()["data"]
        assert (data["status"], data["failed_reason"], data["imgs"]) == (3, "Too dark.", [])
    else:
        data = server.get(PREDICTIONS + name).json()["data"]
        assert (data["status"], data["error"], data["outputs"]) == ("failed", "Too dark.", [])


# --- Novita v2


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (24, 16)),
        ({"upscaling_resize": "2.5", "resize_mode": "0"}, (24, 16)),  # 30 x 20, in steps of 8
        ({"resize_mode": 1, "upscaling_resize_w": 31, "upscaling_resize_h": "21"}, (31, 21)),
        (
            {
                "resize_mode": 1,
                "upscaling_resize_w": 32,
                "upscaling_resize_h": 9,
                "upscaling_crop": False,
            },
            (32, 16),
        ),
        ({"upscaler_2": None, "codeformer_weight": None, "img_expire_ttl": None}, (24, 16)),
    ],
)
def test_novita_v2(server, fields, size):
    reply = server.post(V2, v2(**fields))
    assert reply.json() == {"code": 0, "msg": "", "data": {"task_id": ticket(reply), "warn": ""}}
    before = server.get(PROGRESS + ticket(reply)).json()["data"]
    assert (before["status"], before["progress"], before["imgs"]) == (0, 0, [])
    server.work()
    body = server.get(PROGRESS + ticket(reply)).json()
    assert (body["code"], body["data"]["status"], body["data"]["progress"]) == (0, 2, 100)
    assert isinstance(body["data"]["eta_relative"], int)
    assert shape(server, body["data"]["imgs"][0]) == size


@pytest.mark.parametrize(("ttl", "lifetime"), [(7, 7.0), ("604800", 604_800.0), (0, 3600.0)])
def test_v2_result_is_kept_as_long_as_asked(server, ttl, lifetime):
    name = ticket(server.post(V2, v2(img_expire_ttl=ttl)))
    server.work()
    server.clock.time += lifetime - 1
    assert server.queue.expired() == []
    server.clock.time += 2
    assert [job.id for job in server.queue.expired()] == [name]


# --- Photio


@pytest.mark.parametrize(
    ("fields", "size"),
    [({}, (24, 16)), ({"upscale_by": 4}, (48, 32)), ({"upscale_by": "4"}, (48, 32))],
)
def test_photio(server, fields, size):
    reply = server.post(PHOTIO, photio(**fields), key="", x_photio_key="pt-anna")
    assert isinstance(reply, Wait)
    body = server.end(reply).json()
    assert body["status_code"] == 200
    assert opened(base64.b64decode(body["body"], validate=True)).size == size


def test_photio_takes_a_data_uri(server):
    reply = server.post(PHOTIO, photio() | {"image": uri(image())})
    assert server.end(reply).status == 200


def test_photio_failure_and_lateness_are_its_own_500(server):
    reply = server.post(PHOTIO, photio())
    late = server.end(reply, late=True)
    assert (late.status, late.json()["status_code"]) == (500, 500)
    server.queue.fail(server.queue.take(), "Too dark.")
    failed = server.end(reply)
    assert (failed.status, failed.json()) == (500, {"status_code": 500, "body": "Too dark."})


def test_photio_result_that_is_gone_is_no_200(server):
    reply = server.post(PHOTIO, photio())
    server.work()
    server.files.remove(server.queue.get(reply.job).result)
    assert server.end(reply).status == 500


# --- WaveSpeed


@pytest.mark.parametrize("tail", ["", "/result"])
@pytest.mark.parametrize("root", ["/api/v3", "/api/v2"])
@pytest.mark.parametrize("model", ["image-upscaler", "seedvr2/image", "ultimate-image-upscaler"])
def test_wavespeed(server, root, model, tail):
    body = {"image": uri(image()), "target_resolution": "2k"}
    reply = server.post(f"{root}/wavespeed-ai/{model}", body)
    name = ticket(reply)
    data = reply.json()["data"]
    assert (reply.json()["code"], data["status"], data["error"]) == (200, "created", "")
    assert data["outputs"] == data["has_nsfw_contents"] == []
    assert data["urls"]["get"].startswith(BASE + "/")
    assert data["urls"]["get"].endswith(f"/predictions/{name}/result")
    server.work()
    data = server.get(f"{root}/predictions/{name}{tail}").json()["data"]
    assert data["status"] == "completed"
    assert isinstance(data["timings"]["inference"], int)
    (url,) = data["outputs"]
    assert url.endswith(".jpg")  # the vendor's default
    assert shape(server, url) == (32, 21)
    assert server.get(data["urls"]["get"].removeprefix(BASE)).json()["data"]["outputs"] == [url]


def test_answer_names_the_model_that_was_asked_for(server):
    reply = server.post("/api/v3/wavespeed-ai/seedvr2/image", wavespeed())
    assert reply.json()["data"]["model"] == "wavespeed-ai/seedvr2/image"
    found = server.get(PREDICTIONS + ticket(reply)).json()["data"]
    assert found["model"] == "wavespeed-ai/seedvr2/image"


@pytest.mark.parametrize("creativity", [0, -2, 2.0, "1.5", None])
def test_creativity_is_accepted(server, creativity):
    assert ticket(server.post(WAVESPEED, wavespeed(creativity=creativity)))


def test_base64_output_is_naked(server):
    name = ticket(server.post(WAVESPEED, wavespeed(enable_base64_output=True)))
    server.work()
    (found,) = server.get(PREDICTIONS + name).json()["data"]["outputs"]
    assert opened(base64.b64decode(found, validate=True)).size == (32, 21)


@pytest.mark.parametrize("base64_output", [False, True])
def test_sync_mode_answers_with_the_result(server, base64_output):
    reply = server.post(
        WAVESPEED, wavespeed(enable_sync_mode=True, enable_base64_output=base64_output)
    )
    done = server.end(reply)
    assert ticket(done) == reply.job
    data = done.json()["data"]
    assert data["status"] == "completed"
    (found,) = data["outputs"]
    assert found.startswith(BASE) is not base64_output


def test_late_sync_answer_says_that_the_task_goes_on(server):
    reply = server.post(WAVESPEED, wavespeed(enable_sync_mode=True))
    late = server.end(reply, late=True)
    data = late.json()["data"]
    assert (ticket(late), data["status"], data["code"]) == (reply.job, "processing", 5004)
    assert "Sync mode timed out" in data["error"]
    server.work()
    assert server.get(PREDICTIONS + reply.job).json()["data"]["status"] == "completed"


@pytest.mark.parametrize("root", ["/api/v3", "/api/v2"])
def test_predictions_are_deleted_with_their_files_whatever_came_of_them(server, root):
    names = [ticket(server.post(WAVESPEED, wavespeed(image(seed=seed)))) for seed in (1, 2)]
    server.work()
    names.append(ticket(server.post(WAVESPEED, wavespeed(image(seed=3)))))
    (url,) = server.get(PREDICTIONS + names[0]).json()["data"]["outputs"]
    reply = server.post(root + "/predictions/delete", {"ids": [names[0], names[2], "x", 5, None]})
    assert (reply.status, reply.json()["code"]) == (200, 200)
    assert server.get(PREDICTIONS + names[0]).status == 404
    assert server.file(url).status == 404
    assert server.get(PREDICTIONS + names[1]).status == 200
    assert server.get(PREDICTIONS + names[2]).status == 404
    assert server.work() == 0
    assert len(server.files._folder.settle()) == 2  # image and result of the one that stays
    assert server.files.rooms() == []


def test_delete_reaches_a_running_worker(server, monkeypatch):
    monkeypatch.setattr(worker, "_NEWS_SECONDS", 0.0)
    name = ticket(server.post(WAVESPEED, wavespeed()))
    reached = []

    def slow(service, operation, data, monitor, models):
        monitor.check()
        server.post("/api/v3/predictions/delete", {"ids": [name]})
        reached.append(True)
        monitor.check()
        raise AssertionError("it went on")

    monkeypatch.setattr(processing, "carry_out", slow)
    assert server.work() == 1
    assert reached == [True]
    assert server.get(PREDICTIONS + name).status == 404
    assert server.queue.counts() == {"queued": 0, "running": 0, "done": 0, "failed": 0}
    assert server.files._folder.settle() == {}


@pytest.mark.parametrize(
    ("header", "urgency"),
    [("", 3), ("u=5", 5), ("u=7, i", 7), ("i, u=4", 4), ("u=0", 3), ("u=9", 3), ("v=7", 3)],
)
def test_submit_may_let_others_go_first(server, header, urgency):
    name = ticket(server.post(WAVESPEED, wavespeed(), **({"priority": header} if header else {})))
    assert server.queue.get(name).urgency == urgency
