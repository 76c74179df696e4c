"""WaveSpeed Upscale Video in a running ComfyUI, against the stand-in of the vendors.

Set COMFYUI_PATH and COMFYUI_PYTHON as for the other live tests; `pip install av`.
"""

import json
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("av")

from tests.fakes import faults
from tests.fakes.videos import enlarged
from tests.live.host import EXAMPLES, KEYS, need, node, wait_until
from tests.live.test_remote_nodes import (
    events,
    how,
    info_of,
    listening,
    pytestmark,
    quick,
    server,
    service,
)
from tests.nodes import films

__all__ = ["pytestmark", "quick", "server", "service"]  # fixtures and marks of the neighbour

PROMPT = json.loads((EXAMPLES / "WaveSpeed Upscale Video.json").read_text("utf-8"))


@pytest.fixture(scope="module", autouse=True)
def source(server):
    return films.make(server.base / "input" / "video.mp4", frames=30, sound="aac")


def prompt(**values):
    """Return the template's prompt, with the node's info shown."""
    made = json.loads(json.dumps(PROMPT))
    made["2"]["inputs"] |= values
    made["show"] = node("PreviewAny", source=["2", 1])
    return made


def kill(server):
    """End ComfyUI as a crash would, and start it again."""
    server.stop(hard=True)
    server.start(KEYS["environment"])


def saved(server, entry):
    """Return the file that Save Video has written."""
    assert entry["status"]["status_str"] == "success", entry["status"]
    (file,) = entry["outputs"]["3"]["images"]
    return server.base / file["type"] / file["subfolder"] / file["filename"]


def kept(server):
    return {
        path.name: path.read_bytes() for path in (server.base / "home" / "results").glob("*.mp4")
    }


def test_the_template_sends_a_video_and_saves_its_result(server, service, source):
    with listening(server) as (client, messages):
        entry, _ = server.run(prompt(), client)
        texts = [data["text"] for _, data in events(messages, "upscale_bridge.status")]
    assert service.tasks[-1].image == source.read_bytes()
    assert service.tasks[-1].body == {"target_resolution": "4k"}
    assert how(entry) == ["new"]
    frames, times = films.read(saved(server, entry))
    assert len(frames) == 30
    assert times == pytest.approx(films.read(source)[1], abs=0.002)
    assert films.packets(saved(server, entry)) == films.packets(source)
    assert enlarged(source.read_bytes()) in kept(server).values()
    assert texts[-1] == "done"
    (told,) = entry["outputs"]["2"]["upscale_bridge"]
    assert (told["how"], told["from"], told["size"]) == (["new"], [64, 48], [64, 48])
    assert KEYS["environment"] not in json.dumps(info_of(entry))


@pytest.mark.parametrize("phase", ["put", "poll", "download"])
def test_a_crash_neither_pays_twice_nor_loses_the_result(server, service, source, phase):
    """ComfyUI is killed in the middle of a phase; the second run ends what the first began."""
    attempt = {"put": 20, "poll": 21, "download": 22}[phase]
    gate = threading.Event()
    before, seen = len(service.tasks), service.count(phase)
    service.faults[phase].append(faults.stall(gate, silent=phase != "download"))
    server.begin(prompt(attempt=attempt))
    wait_until(lambda: service.count(phase) > seen)
    time.sleep(0.3)
    kill(server)
    gate.set()
    entry, _ = server.run(prompt(attempt=attempt))
    assert how(entry) == ["new" if phase == "put" else "resumed"]
    assert len(films.read(saved(server, entry))[0]) == 30
    assert len(service.tasks) - before == 1
    assert not list((server.base / "home" / "results").glob("*.part"))


def test_a_result_is_reused_after_a_restart_without_a_request(server, service):
    first, _ = server.run(prompt(attempt=30))
    requests = len(service.requests)
    kill(server)
    again, _ = server.run(prompt(attempt=30))
    assert (how(first), how(again)) == (["new"], ["reused"])
    assert len(service.requests) == requests


@pytest.mark.parametrize("attempt", [40])
def test_a_video_of_images_is_the_same_file_after_a_restart(server, service, attempt):
    """ComfyUI encodes it anew; if that gave other bytes the second run would pay again."""
    made = prompt(attempt=attempt, video=["4", 0])
    made["4"] = node("CreateVideo", images=["5", 0], fps=12.0)
    made["5"] = node("LoadImage", image="small.png")
    del made["1"]
    before = len(service.tasks)
    first, _ = server.run(made)
    kill(server)
    again, _ = server.run(made)
    assert (how(first), how(again)) == (["new"], ["reused"])
    assert len(service.tasks) - before == 1


def test_a_video_that_was_cut_is_sent_as_it_was_cut(server, service):
    need(server, "Video Slice")
    made = prompt(attempt=50, video=["4", 0])
    made["4"] = node(
        "Video Slice", video=["1", 0], start_time=0.5, duration=1.0, strict_duration=False
    )
    entry, _ = server.run(made)
    assert entry["status"]["status_str"] == "success"
    assert info_of(entry)["duration"] == pytest.approx(1.25, abs=0.4)
    path = Path(server.base / "cut.mp4")
    path.write_bytes(service.tasks[-1].image)
    assert 8 <= len(films.read(path)[0]) < 30


def test_a_file_that_is_no_video_is_told_and_not_paid(server, service):
    (server.base / "input" / "broken.mp4").write_bytes(b"nothing" * 99)
    made = prompt(attempt=60)
    made["1"]["inputs"]["file"] = "broken.mp4"
    before = len(service.requests)
    entry, _ = server.run(made)
    (message,) = [data for kind, data in entry["status"]["messages"] if kind == "execution_error"]
    assert "video" in message["exception_message"]
    assert len(service.requests) == before
