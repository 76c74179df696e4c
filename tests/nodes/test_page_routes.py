"""What the page asks before and after a run: advice, models, tasks, results."""

import asyncio
import io
import json
import shutil
import threading
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from tests.fakes.videos import enlarged
from tests.nodes.conftest import KEY, ROOT, VideoFromFile

WAIT_SECONDS = 20


@pytest.fixture
def ask(part, web):
    """Call a route as ComfyUI's page does; returns status and answer."""
    routes = part("nodes.routes").ROUTES

    def send(path, body=None, *, kind="application/json", match=None, **headers):
        async def pieces(_):
            yield json.dumps(body).encode()

        method = "GET" if body is None else "POST"
        request = SimpleNamespace(
            method=method,
            scheme="http",
            headers={"Host": "127.0.0.1:8188", "Content-Type": kind, **headers},
            remote="127.0.0.1",
            content=SimpleNamespace(iter_chunked=pieces),
            match_info=match or {},
        )
        found = asyncio.run(routes[method, f"/upscale_bridge/{path}"](request))
        if isinstance(found.body, str):
            return found.status, json.loads(found.body)
        return found.status, found

    return send


@pytest.fixture
def told(comfy):
    """Wait for an event of the page that fits, and return its data."""
    pause = threading.Event()

    def wait(name, fits=lambda data: True):
        for _ in range(int(WAIT_SECONDS / 0.01)):
            for event, data in list(comfy.events):
                if event == f"upscale_bridge.{name}" and fits(data):
                    return data
            pause.wait(0.01)
        raise AssertionError(comfy.events)

    return wait


# --- who may call


@pytest.mark.parametrize("path", ["advice", "models/download", "tasks/forget", "keys/test"])
def test_other_sites_are_refused(ask, path):
    assert ask(path, {}, kind="text/plain")[0] == 403
    assert ask(path, {}, Origin="https://evil.example")[0] == 403
    assert ask(path, [1])[0] == 400
    assert ask(path, {}, Origin="http://127.0.0.1:8188")[0] == 400


@pytest.mark.parametrize("path", ["tasks/forget", "tasks/resume", "tasks/attach", "keys/test"])
def test_texts_that_are_no_unicode_are_refused(ask, path):
    for body in ({"request": "\ud800"}, {"name": ["\udfff"]}, {"\ud800": 1}):
        assert ask(path, body)[0] == 400


@pytest.mark.parametrize(
    "path",
    ["keys", "models", "tasks", "tasks/{request}/thumbnail", "tasks/{request}/result"],
)
def test_other_sites_do_not_even_read(ask, path):
    """ComfyUI's --enable-cors-header would let them."""
    match = {"request": "none"}
    for site in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert ask(path, match=match, **site)[0] == 403
    assert ask(path, match=match)[0] in (200, 404)


# --- advice


def test_advice_knows_the_node_and_its_widgets(ask):
    values = {"model": "4x-UltraSharp", "scale_factor": 2, "upscale_bridge": "not a parameter"}
    status, found = ask(
        "advice", {"node": "LocalESRGANUpscale", "values": values, "size": [30, 20]}
    )
    assert status == 200
    assert found["size"] == [60, 40]
    assert [(note["level"], note["way"]) for note in found["notes"]] == [("missing", "download")]


@pytest.mark.parametrize("size", [None, [], [1], [0, 5], ["3", 4], {"a": 1}, [1, 2, 3]])
def test_advice_without_a_size(ask, size):
    body = {"node": "LocalESRGANUpscale", "values": {}, "size": size}
    assert ask("advice", body) == (200, {"size": None, "notes": []})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"node": "SaveImage", "values": {}},
        {"node": "NovitaUpscale", "values": []},
        {"node": "NovitaUpscale", "values": {"scale_factor": 9}},
        {"node": "NovitaUpscale", "values": {"model_name": None}},
    ],
)
def test_advice_on_nonsense_is_one_sentence(ask, body):
    status, found = ask("advice", body)
    assert status == 400
    assert found["error"].endswith(".")


# --- models


def fake_download(part, monkeypatch, work):
    monkeypatch.setattr(part("upscale_bridge.local.library"), "download", work)


def test_a_model_is_downloaded_and_listed_at_once(ask, part, comfy, told, monkeypatch):
    shipped = ROOT / "upscale_bridge/local/weights/UpscaleBridge-x4.safetensors"

    def download(url, target, monitor, *, size, sha256):
        monitor.progress(1, 4)
        shutil.copy(shipped, target)

    fake_download(part, monkeypatch, download)
    name = "4x-UltraSharp"
    status, found = ask("models/download", {"name": name})
    assert (status, found["name"]) == (200, name)
    assert told("download", lambda data: data["state"] == "running")["fraction"] == 0.25
    assert told("download", lambda data: data["state"] == "done")["fraction"] == 1
    status, found = ask("models")
    assert (status, found["downloads"]) == (200, [])
    assert found["models"].index(name) < found["models"].index("ESRGAN_4x"), "now among files"
    widget = part("nodes.local").LocalESRGANUpscale.INPUT_TYPES()["required"]["model"]
    assert widget[0] == found["models"]


def test_a_download_is_cancelled(ask, part, told, monkeypatch):
    begun = threading.Event()

    def download(url, target, monitor, *, size, sha256):
        begun.set()
        for _ in range(2000):
            monitor.check()
            threading.Event().wait(0.01)

    fake_download(part, monkeypatch, download)
    ask("models/download", {"name": "DAT_x4"})
    assert begun.wait(WAIT_SECONDS)
    assert [one["name"] for one in ask("models")[1]["downloads"]] == ["DAT_x4"]
    ask("models/download", {"name": "DAT_x4"})
    assert len(ask("models")[1]["downloads"]) == 1, "the second click joins the first"
    ask("models/cancel", {"name": "DAT_x4"})
    told("download", lambda data: data["state"] == "stopped")
    assert ask("models/cancel", {"name": "DAT_x4"}) == (200, {})


def test_a_failed_download_says_why(ask, part, told, monkeypatch):
    errors = part("upscale_bridge.errors")

    def download(*_, **__):
        raise errors.DownloadError("The disk is full.")

    fake_download(part, monkeypatch, download)
    ask("models/download", {"name": "DAT_x4"})
    assert told("download", lambda d: d["state"] == "failed")["text"] == "The disk is full."


def test_only_known_models_are_downloaded(ask):
    for name in ("https://evil.example/x.pth", "../x", "", None):
        status, found = ask("models/download", {"name": name})
        assert (status, "There is no model" in found["error"]) == (400, True)


# --- tasks


@pytest.fixture
def finished(vendors, run, images):
    """One finished task of WaveSpeed; returns the stand-in."""
    service = vendors()
    run("WaveSpeedUpscale", image=images())
    return service


def test_tasks_are_listed_without_secrets(ask, finished):
    status, found = ask("tasks")
    (task,) = found["tasks"]
    assert status == 200
    assert (task["title"], task["state"], task["result"]) == ("WaveSpeed Upscale", "done", True)
    assert task["price"] is None, "another host than the vendor"
    text = json.dumps(found)
    assert KEY not in text
    assert finished.base_url not in text
    assert not {"key", "owner", "upload", "base_url"} & set(task)


def test_results_are_shown(ask, finished):
    match = {"request": ask("tasks")[1]["tasks"][0]["request"]}
    status, small = ask("tasks/{request}/thumbnail", match=match)
    assert (status, small.kind) == (200, "image/jpeg")
    assert max(Image.open(io.BytesIO(small.body)).size) <= 256
    status, whole = ask("tasks/{request}/result", match=match)
    assert (status, whole.headers["Content-Type"]) == (200, "image/png")
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert Image.open(io.BytesIO(whole.body)).size == (128, 96)


@pytest.mark.parametrize("name", ["no-such", "", "../keys.json", "%"])
@pytest.mark.parametrize("file", ["thumbnail", "result"])
def test_other_files_are_not_shown(ask, finished, name, file):
    assert ask(f"tasks/{{request}}/{file}", match={"request": name})[0] == 404


def test_a_task_is_forgotten(ask, finished):
    request = ask("tasks")[1]["tasks"][0]["request"]
    assert ask("tasks/forget", {"request": request}) == (200, {})
    assert ask("tasks")[1]["tasks"] == []
    assert ask("tasks/{request}/result", match={"request": request})[0] == 404
    status, found = ask("tasks/forget", {"request": request})
    assert (status, found["error"]) == (400, "There is no such task any more.")


def test_the_page_hears_of_changes_once_a_moment(ask, vendors, run, images, comfy, told):
    ask("tasks")
    vendors()
    run("NovitaUpscale", image=images())
    told("tasks")
    changes = [event for event, _ in comfy.events if event == "upscale_bridge.tasks"]
    assert len(changes) <= 3


def test_resume_of_a_lost_task_tells_the_page(ask, part, finished, told, monkeypatch):
    errors = part("upscale_bridge.errors")
    service = part("nodes.host").service()

    def resume(operation):
        raise errors.TaskLostError(f"Unknown {operation.task_id}.")

    monkeypatch.setattr(service, "resume", resume)
    request = ask("tasks")[1]["tasks"][0]["request"]
    assert ask("tasks/resume", {"request": request}) == (200, {})
    assert told("tasks", lambda data: "error" in data)["error"] == f"Unknown {request}."


def test_a_download_that_stalls_has_told_how_far_it_came(part, comfy, monkeypatch):
    routes = part("nodes.model_routes")
    monkeypatch.setattr(routes.time, "monotonic", lambda: 0.1)  # it all comes at once
    download = routes.Download(SimpleNamespace(name="A"))
    for percent in range(1, 40):
        download.progress(percent, 100)
    told = [data["fraction"] for _, data in comfy.events]
    steps = [after - before for before, after in pairwise([0.0, *told])]
    assert all(0.04 < step < 0.07 for step in steps)
    assert told[-1] > 0.39 - 0.06


# --- results

INFO = {"input_size": (4, 4), "size": (8, 8), "seconds": 1.5}


@pytest.fixture
def shown(part, comfy):
    """Return what a node returns for a result, while a page is open."""
    comfy.sockets = {"page": object()}
    return part("nodes.results").shown


def test_a_result_is_shown_beside_its_original(shown, comfy):
    result = SimpleNamespace(images=torch.rand(2, 8, 8, 4), info=INFO)
    found = shown(("outputs",), result, torch.rand(2, 4, 4, 3))
    assert found["result"] == ("outputs",)
    (data,) = found["ui"]["upscale_bridge"]
    assert (data["size"], data["seconds"], data["how"]) == ([8, 8], 1.5, [])
    assert (data["from"], data["count"]) == ([4, 4], 2)
    assert not {"cost", "frames"} & set(data)
    sizes = []
    for name in ("before", "after"):
        assert data[name]["type"] == "temp"
        folder = comfy.user / "temp" / data[name]["subfolder"]
        written = (folder / data[name]["filename"]).read_bytes()
        sizes.append(Image.open(io.BytesIO(written)).size)
    assert sizes == [(4, 4), (8, 8)]
    json.dumps(found["ui"])  # ComfyUI sends it


def test_without_a_page_nothing_is_written(shown, comfy):
    comfy.sockets = {}
    result = SimpleNamespace(images=torch.rand(1, 8, 8, 3), info=INFO)
    assert shown(("outputs",), result, torch.rand(1, 4, 4, 3)) == ("outputs",)
    assert not (comfy.user / "temp").exists()


def test_what_was_reused_is_told(shown):
    tasks = [{"how": "reused"}, {"how": "new"}, {"how": "new"}]
    info = {**INFO, "tasks": tasks, "local": {}}
    (told,) = shown((), SimpleNamespace(info=info, images=[None]))["ui"]["upscale_bridge"]
    assert told["how"] == ["local", "new", "reused"]


def test_what_was_paid_by_this_run_is_told(shown):
    costs = [("new", 0.01), ("new", 0.02), ("reused", 4.0), ("joined", 8.0)]
    info = {**INFO, "tasks": [{"how": how, "cost": cost} for how, cost in costs], "frames": 7}
    (told,) = shown((), SimpleNamespace(info=info, images=[]))["ui"]["upscale_bridge"]
    assert (told["cost"], told["frames"]) == ("$0.03", 7)


def test_a_full_disk_costs_the_picture_only(shown, comfy):
    (comfy.user / "temp").write_text("in the way")
    result = SimpleNamespace(images=torch.rand(1, 8, 8, 3), info=INFO)
    found = shown(("outputs",), result, torch.rand(1, 4, 4, 3))
    assert found["result"] == ("outputs",)
    assert "before" not in found["ui"]["upscale_bridge"][0]


@pytest.mark.parametrize("name", ["LocalESRGANUpscale", "WaveSpeedUpscale"])
def test_nodes_show_their_results(shown, vendors, call, images, name):
    vendors()
    found = call(name, image=images())
    found = asyncio.run(found) if asyncio.iscoroutine(found) else found
    assert len(found["result"]) == 3
    assert {"before", "after"} <= set(found["ui"]["upscale_bridge"][0])


# --- tasks of videos


@pytest.fixture
def filmed(vendors, run, tmp_path):
    """One finished task of a video; returns the stand-in and what it made."""
    pytest.importorskip("av")
    from tests.nodes import films

    source = films.make(tmp_path / "a.mp4")
    service = vendors()
    run("WaveSpeedUpscaleVideo", video=VideoFromFile(str(source)))
    return service, enlarged(source.read_bytes())


def test_a_video_is_listed_as_one_and_opened(ask, filmed):
    (task,) = ask("tasks")[1]["tasks"]
    assert (task["title"], task["media"]) == ("WaveSpeed Upscale Video", "video")
    assert (task["input_size"], task["result"]) == ([64, 48], True)
    match = {"request": task["request"]}
    status, whole = ask("tasks/{request}/result", match=match)
    assert (status, whole.headers["Content-Type"]) == (200, "video/mp4")
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.body == filmed[1]
    status, found = ask("tasks/{request}/thumbnail", match=match)
    assert (status, found) == (404, {"error": "There is no such picture."})


def test_a_video_is_resumed_by_the_page(ask, filmed, part, told):
    service, made = filmed
    request = ask("tasks")[1]["tasks"][0]["request"]
    journal = part("nodes.host").service().client.journal
    kept = journal.results / journal.get(request).result
    kept.unlink()
    downloads = service.count("download")
    assert ask("tasks/resume", {"request": request}) == (200, {})
    told("tasks", lambda data: kept.exists())
    assert kept.read_bytes() == made
    assert (service.count("download"), len(service.tasks)) == (downloads + 1, 1)


def test_an_image_is_listed_as_one(ask, finished):
    assert ask("tasks")[1]["tasks"][0]["media"] == "image"
