"""The remote nodes in a running ComfyUI, against the stand-in of the vendors in this process.

Set COMFYUI_PATH to a checkout of ComfyUI, and COMFYUI_PYTHON to a Python that can run it.
"""

import json
import os
import socket
import struct
import threading
import time
import urllib.request
import uuid
from contextlib import contextmanager, suppress

import pytest
from PIL import Image

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.live.host import (
    COMFYUI,
    EXAMPLES,
    KEYS,
    LOAD,
    NAMES,
    ROOT,
    ask,
    node,
    pictures,
    running,
    wait_until,
)

NEWER = {  # demanded by ComfyUI after 0.8.0, which neither knows nor minds them
    "cond_retain_index_list",
    "split_conds_to_windows",
    "latent_retain_index_list",
    "causal_window_fix",
    "format.codec",
    "bit_depth",
}
DEFAULTS = {
    "model_name": "RealESRGAN_x4plus_anime_6B",
    "scale_factor": 2.0,
    "response_image_type": "png",
    "enable_nsfw_detection": False,
    "when_too_large": "refuse",
    "result_size": "as delivered",
    "when_unavailable": "error",
    "attempt": 1,
}

pytestmark = pytest.mark.skipif(not COMFYUI, reason="COMFYUI_PATH is not set")


@pytest.fixture(scope="module")
def service():
    with FakeService(key=KEYS["environment"]) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory, service):
    with running(tmp_path_factory.mktemp("comfyui"), service, KEYS["environment"]) as comfyui:
        yield comfyui


@pytest.fixture(autouse=True)
def quick(service):
    """Let tasks be done at once, unless a test says otherwise."""
    service.key, service.clock.seconds = KEYS["environment"], 0.0
    for waiting in service.faults.values():
        waiting.clear()


@contextmanager
def listening(server):
    """Collect what ComfyUI sends to a page: (time, bytes of a text or binary message).

    RFC 6455 as far as a server needs to be understood.
    """
    client, found = uuid.uuid4().hex, []
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.sendall(
        f"GET /ws?clientId={client} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    stream = connection.makefile("rb")
    while stream.readline() not in (b"\r\n", b""):
        pass

    def read():
        with suppress(OSError, struct.error):
            while True:
                _, size = struct.unpack("!BB", stream.read(2))
                if size == 126:
                    (size,) = struct.unpack("!H", stream.read(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", stream.read(8))
                found.append((time.monotonic(), stream.read(size)))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield client, found
    finally:
        connection.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        stream.close()
        connection.close()


def events(messages, kind):
    """Return (time, data) of all text messages of one type."""
    texts = [(when, json.loads(data)) for when, data in messages if data.startswith(b"{")]
    return [(when, text["data"]) for when, text in texts if text["type"] == kind]


def upscale(image, **inputs):
    return node("NovitaUpscale", image=image, **{**DEFAULTS, **inputs})


def chain(class_type="NovitaUpscale", **inputs):
    """Return LoadImage -> a remote node -> SaveImage, with the node's info shown."""
    upscaler = upscale(["load", 0], **inputs)
    upscaler["class_type"] = class_type
    return {
        "load": LOAD,
        "upscale": upscaler,
        "save": node("SaveImage", images=["upscale", 0], filename_prefix="test"),
        "show": node("PreviewAny", source=["upscale", 2]),
    }


def info_of(entry, show="show"):
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    return json.loads(entry["outputs"][show]["text"][0])


def how(entry):
    return [task["how"] for task in info_of(entry)["tasks"]]


# --- the nodes


def test_nodes_are_there(server):
    for path in EXAMPLES.glob("*.json"):
        for item in json.loads(path.read_text("utf-8")).values():
            told = ask(server, f"/object_info/{item['class_type']}")
            if not told and item["class_type"].startswith("SeedVR2"):
                continue  # core's own, which came after 0.8.0
            found = told[item["class_type"]]
            known = [*found["input_order"].get("required", ()), *found["input"].get("optional", ())]
            assert set(item["inputs"]) - NEWER <= set(known)
    assert ask(server, "/object_info/NovitaUpscaleV2")["NovitaUpscaleV2"]["deprecated"] is True


def remote_examples():
    """Return the examples that a service upscales an image for, and nothing else does."""
    others = ("Local", "WaveSpeedUpscaleVideo")  # they have tests of their own
    prompts = {path.stem: json.loads(path.read_text("utf-8")) for path in EXAMPLES.glob("*.json")}
    return {
        name: prompt
        for name, prompt in sorted(prompts.items())
        if not any(item["class_type"].startswith(others) for item in prompt.values())
    }


@pytest.mark.parametrize("name", remote_examples())
def test_example_runs(server, service, name):
    prompt = remote_examples()[name]
    classes = [item["class_type"] for item in prompt.values()]
    if "ResumeUpscaleTask" in classes:
        done = info_of(server.run(chain(attempt=77))[0])["tasks"][0]["id"]
        next(iter(prompt.values()))["inputs"]["task_id"] = done
    before = len(service.tasks)
    entry, _ = server.run(prompt)
    (save,) = [key for key, item in prompt.items() if item["class_type"] == "SaveImage"]
    (image,) = pictures(server, entry, save)
    task = service.tasks[-1]
    assert image.size == task.target
    assert len(service.tasks) - before == ("ResumeUpscaleTask" not in classes)


@pytest.mark.parametrize("class_id", ["LocalESRGANUpscale", "NovitaUpscale", "ResumeUpscaleTask"])
def test_help_of_the_node_is_served(server, class_id):
    url = f"{server.url}/extensions/upscale-bridge/docs/{class_id}/en.md"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    assert text == (ROOT / "web" / "docs" / class_id / "en.md").read_text(encoding="utf-8")


def test_script_of_the_key_dialog_is_offered_to_the_page(server):
    assert "/extensions/upscale-bridge/keys.js" in ask(server, "/extensions")


# --- together


def test_two_nodes_overlap(server, service):
    service.clock.seconds = 2.0
    server.run(chain(attempt=10))  # what is loaded at the first run
    _, one = server.run(chain(attempt=11))
    prompt = chain(attempt=12)
    prompt["other"] = upscale(["load", 0], attempt=13)
    prompt["save other"] = node("SaveImage", images=["other", 0], filename_prefix="test")
    entry, both = server.run(prompt)
    assert len(pictures(server, entry)) == len(pictures(server, entry, "save other")) == 1
    assert both < 1.5 * one, f"one {one:.2f} s, both {both:.2f} s"


def test_batch_of_eight_keeps_its_order(server, service):
    shades = [20, 210, 60, 180, 100, 140, 240, 40]
    prompt, batch = {}, None
    for index, shade in enumerate(shades):
        color = shade * 0x010101
        prompt[f"{index}"] = node("EmptyImage", width=16, height=12, batch_size=1, color=color)
        if batch is None:
            batch = f"{index}"
        else:
            joined = node("ImageBatch", image1=[batch, 0], image2=[f"{index}", 0])
            batch = f"until {index}"
            prompt[batch] = joined
    prompt["upscale"] = upscale([batch, 0])
    prompt["save"] = node("SaveImage", images=["upscale", 0], filename_prefix="batch")
    prompt["show"] = node("PreviewAny", source=["upscale", 2])
    service.clock.seconds, service.most_unfinished = 0.3, 0
    before = len(service.tasks)
    entry, _ = server.run(prompt)
    images = pictures(server, entry)
    assert [image.size for image in images] == [(32, 24)] * 8
    assert [image.convert("L").getpixel((16, 12)) for image in images] == shades
    assert how(entry) == ["new"] * 8
    assert len(service.tasks) - before == 8
    assert 2 <= service.most_unfinished <= 3


def test_blocking_node_beside_does_not_stop_the_work(server, service, monkeypatch):
    times, record = [], service.record

    def remember(x, outcome):
        times.append((time.monotonic(), x.phase))
        record(x, outcome)

    monkeypatch.setattr(service, "record", remember)
    service.clock.seconds = 0.5
    local = {"model": "UpscaleBridge-x4", "scale_factor": 4.0, "tile_size": 0}
    local |= {"precision": "fp32", "alpha": "model", "download": False}
    prompt = chain(attempt=30)
    # From the same image, a step later: ComfyUI begins with the remote node.
    scale = {"upscale_method": "bilinear", "width": 400, "height": 400, "crop": "disabled"}
    prompt["larger"] = node("ImageScale", image=["load", 0], **scale)
    prompt["several"] = node("RepeatImageBatch", image=["larger", 0], amount=6)
    prompt["local"] = node("LocalESRGANUpscale", image=["several", 0], **local)
    prompt["view"] = node("PreviewImage", images=["local", 0])
    with listening(server) as (client, messages):
        entry, _ = server.run(prompt, client)
    assert how(entry) == ["new"]
    states = events(messages, "progress_state")

    def when(name, state):
        return next(
            moment for moment, data in states if data["nodes"].get(name, {}).get("state") == state
        )

    started, finished = when("local", "running"), when("local", "finished")
    (download,) = [moment for moment, phase in times if phase == "download"]
    blocked = finished - started
    assert blocked > 1, "the other node was too quick to show anything"
    assert when("upscale", "running") < started
    assert download < finished, "the work went on while the loop was blocked"
    assert when("upscale", "finished") - finished < 1


# --- stopping


@pytest.mark.parametrize("class_type", ["NovitaUpscale", "PhotioUpscale"])
def test_cancel_is_answered_at_once_and_costs_nothing(server, service, class_type):
    service.clock.seconds = 3.0
    prompt = chain(attempt=40)
    if class_type == "PhotioUpscale":
        prompt = json.loads((EXAMPLES / "Photio Upscale.json").read_text("utf-8"))
        (name,) = [key for key, item in prompt.items() if item["class_type"] == class_type]
        prompt[name]["inputs"]["attempt"] = 40
        prompt["show"] = node("PreviewAny", source=[name, 2])
    before = len(service.tasks)
    with listening(server) as (client, messages):
        prompt_id = server.begin(prompt, client)
        wait_until(lambda: len(service.tasks) > before)
        time.sleep(0.6)
        start = time.monotonic()
        request = urllib.request.Request(f"{server.url}/interrupt", data=b"{}", method="POST")
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=30).close()
        wait_until(lambda: events(messages, "execution_interrupted"))
        ((moment, _),) = events(messages, "execution_interrupted")
    assert moment - start < 1
    assert server.end(prompt_id)["status"]["status_str"] == "error"
    entry, _ = server.run(prompt)
    assert how(entry)[0] in ("resumed", "joined", "reused")
    assert len(service.tasks) - before == 1


def test_result_is_reused_after_a_restart(server, service):
    before = len(service.tasks)
    first, _ = server.run(chain(attempt=50))
    server.stop()
    server.start(KEYS["environment"])
    again, _ = server.run(chain(attempt=50))
    assert (how(first), how(again)) == (["new"], ["reused"])
    assert pictures(server, first)[0].tobytes() == pictures(server, again)[0].tobytes()
    assert len(service.tasks) - before == 1


def test_task_is_resumed_after_a_crash(server, service):
    service.clock.seconds = 1.5
    before = len(service.tasks)
    server.begin(chain(attempt=51))
    wait_until(lambda: len(service.tasks) > before)
    polls = service.count("poll")
    wait_until(lambda: service.count("poll") > polls)  # its ticket is stored
    server.stop(hard=True)
    server.start(KEYS["environment"])
    assert how(server.run(chain(attempt=51))[0]) == ["resumed"]
    assert len(service.tasks) - before == 1


# --- keys


def post_key(server, *parts, kind="application/json", **headers):
    """Send a body in parts, as slow connections do; return the status of the answer."""
    host, port = server.url.removeprefix("http://").split(":")
    headers = {"Host": f"{host}:{port}", "Content-Type": kind, "Connection": "close"} | headers
    headers["Content-Length"] = sum(map(len, parts))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST /upscale_bridge/keys HTTP/1.1\r\n{head}\r\n".encode())
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def test_only_the_own_page_may_set_keys(server):
    body = json.dumps({"name": "photio", "key": "sk-set-by-a-test"}).encode()
    kept = server.base / "user" / "__upscale_bridge" / "keys.json"
    form = "application/x-www-form-urlencoded"
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    for headers in ({"kind": form}, {"Origin": "http://evil.example"}, rebound):
        assert post_key(server, body, **headers) == 403
    for wrong in (b"{", b"[" * 4000, b'{"name": ["photio"], "key": "12345678"}', b"x" * 100_000):
        assert post_key(server, wrong) in (400, 413)
    assert not kept.exists()
    assert post_key(server, body[:9], body[9:], Origin=server.url) == 200
    assert json.loads(kept.read_text("utf-8")) == {"photio": "sk-set-by-a-test"}
    assert post_key(server, b'{"name": "photio", "key": ""}') == 200
    assert json.loads(kept.read_text("utf-8")) == {}


def failing_runs(service, key):
    """Prepare, one after the other, services that refuse, break and repeat the key."""
    yield "refused", lambda: setattr(service, "key", "another-key-than-ours")
    yield (
        "echoed in a refusal",
        lambda: service.faults["submit"].append(
            faults.refused("key", f"Bearer {key} is not valid")
        ),
    )
    yield (
        "echoed in a page",
        lambda: service.faults["submit"].append(
            faults.answer(200, f"<html>Authorization: Bearer {key}</html>")
        ),
    )
    yield (
        "echoed in a redirect",
        lambda: service.faults["submit"].append(
            faults.answer(302, "", {"Location": f"{service.base_url}/?key={key}"})
        ),
    )
    yield (
        "echoed in a failure",
        lambda: service.faults["poll"].append(
            faults.refused("forbidden", f"key {key} may not do this")
        ),
    )
    yield "cut off", lambda: service.faults["submit"].append(faults.reset_after_accept())


@pytest.mark.parametrize("origin", KEYS)
def test_key_is_nowhere(server, service, origin):
    key, number = KEYS[origin], 100 if origin == "file" else 200
    server.stop()
    server.start(key if origin == "environment" else None)
    places, errors = {}, []
    with listening(server) as (client, messages):
        if origin == "file":
            for name in NAMES:
                answer = ask(server, "/upscale_bridge/keys", {"name": name, "key": key})
            places["the answer to setting it"] = json.dumps(answer)
        rows = ask(server, "/upscale_bridge/keys")["keys"]
        assert [row["origin"] for row in rows] == [origin] * 3

        service.key = key
        entry, _ = server.run(chain(attempt=number), client)
        assert info_of(entry)
        assert any(
            request.headers.get("authorization") == f"Bearer {key}" for request in service.requests
        )
        files = [
            server.base / item["type"] / item["subfolder"] / item["filename"]
            for item in entry["outputs"]["save"]["images"]
        ]
        for path in files:
            with Image.open(path) as image:
                assert image.text["prompt"], "the workflow is in the file"
                places["the picture's text"] = repr(image.text)
        for about, prepare in failing_runs(service, key):
            service.key, number = key, number + 1
            prepare()
            entry, _ = server.run(chain(attempt=number), client)
            assert entry["status"]["status_str"] == "error", about
            (details,) = [
                data for kind, data in entry["status"]["messages"] if kind == "execution_error"
            ]
            errors.append(details["exception_message"])
            places[f"the error when {about}"] = json.dumps(details)
        wait_until(lambda: len(events(messages, "execution_error")) == len(errors))
        wait_until(lambda: events(messages, "upscale_bridge.status"))
    assert all("Error: " in error for error in errors)

    for path in (
        "/history",
        "/object_info",
        "/upscale_bridge/keys",
        "/queue",
        "/settings",
        "/system_stats",
        "/internal/logs/raw",
    ):
        places[path] = json.dumps(ask(server, path))
    places["the page's messages"] = b"\n".join(data for _, data in messages)
    for path in server.base.rglob("*"):
        if path.is_file() and path.name != "keys.json" and ROOT not in path.resolve().parents:
            places[str(path)] = path.read_bytes()
    assert str(server.log) in places
    assert any("journal" in name for name in places)
    assert any(name.endswith(".png") for name in places)
    for name, content in places.items():
        data = content.encode() if isinstance(content, str) else content
        assert key.encode() not in data, f"the key stands in {name}"
    kept = server.base / "user" / "__upscale_bridge" / "keys.json"
    if origin == "file":
        assert key in kept.read_text("utf-8"), "the search would have found it"
        if os.name == "posix":
            assert kept.stat().st_mode & 0o077 == 0
