"""WaveSpeed Upscale Video with ComfyUI's VIDEO, against the stand-in of the vendors."""

import asyncio
import json
import logging
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("av")

from tests.fakes import faults
from tests.fakes.videos import enlarged, matroska
from tests.nodes import films
from tests.nodes.conftest import KEY, InterruptProcessingException, VideoFromFile
from tests.remote.host import wait_until
from upscale_bridge.storage.settings import home

NAME = "WaveSpeedUpscaleVideo"


@pytest.fixture
def source(tmp_path):
    return films.make(tmp_path / "a.mp4", frames=30, sound="aac")


@pytest.fixture
def video(source):
    return VideoFromFile(str(source))


def left(comfy):
    """Return what lies in our part of ComfyUI's temporary folder."""
    return sorted((comfy.user / "temp" / "upscale_bridge").glob("*"))


def data_of(video):
    return Path(video.get_stream_source()).read_bytes()


# --- declarations


def test_models_are_offered_and_others_accepted(pack):
    node = pack.NODE_CLASS_MAPPINGS[NAME]
    widgets = node.INPUT_TYPES()["required"]
    assert list(widgets)[:3] == ["video", "model", "options"]
    assert list(widgets)[-1] == "attempt"
    offered, options = widgets["model"]
    assert "wavespeed-ai/seedvr2/video" in offered
    assert options["default"] == offered[0] == "wavespeed-ai/video-upscaler"
    _, options = widgets["options"]
    assert options["default"] == "{}"
    assert not {"when_unavailable", "when_too_large", "result_size"} & set(widgets)
    assert node.VALIDATE_INPUTS(model="acme/new-one") is True
    assert node.VALIDATE_INPUTS() is True


# --- runs


def test_a_video_comes_back(vendors, run, comfy, video, source):
    service = vendors()
    made, info = run(NAME, video=video, options='{"target_resolution": "4k"}')
    assert data_of(made) == enlarged(source.read_bytes())
    assert not video.saved
    (task,) = service.tasks
    assert task.image == source.read_bytes()
    assert task.body == {"target_resolution": "4k"}
    told = json.loads(info)
    assert (told["input_size"], told["size"]) == ([64, 48], [64, 48])
    assert told["tasks"][0]["id"] == task.id
    assert KEY not in info
    assert left(comfy) == [Path(made.get_stream_source())]
    assert len(films.read(made.get_stream_source())[0]) == 30


def test_a_second_run_costs_nothing(vendors, run, video):
    service = vendors()
    run(NAME, video=video)
    requests = len(service.requests)
    made, info = run(NAME, video=video)
    assert json.loads(info)["tasks"][0]["how"] == "reused"
    assert len(service.requests) == requests
    assert Path(made.get_stream_source()).exists()


def test_the_result_takes_no_second_place_on_the_disk(vendors, run, video):
    vendors()
    made, _ = run(NAME, video=video)
    (kept,) = (home() / "results").iterdir()
    assert kept.samefile(made.get_stream_source())


def test_another_disk_gets_a_copy(vendors, run, video, source, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    vendors()
    monkeypatch.setattr(os, "link", refuse)
    made, _ = run(NAME, video=video)
    (kept,) = (home() / "results").iterdir()
    assert not kept.samefile(made.get_stream_source())
    assert data_of(made) == enlarged(source.read_bytes())


@pytest.mark.parametrize("options", [{"window": (0.5, 1.0)}, {"dimensions": (32, 32)}])
def test_what_is_cut_or_cropped_is_saved_first(vendors, run, comfy, source, options):
    service = vendors()
    video = VideoFromFile(str(source), **options)
    made, _ = run(NAME, video=video)
    assert len(video.saved) == len(service.tasks) == 1
    assert left(comfy) == [Path(made.get_stream_source())]  # what it saved is gone


def test_a_format_that_is_not_sent_is_saved_first(vendors, run, tmp_path):
    service = vendors()
    path = films.make(tmp_path / "a.avi", frames=4)
    good = films.make(tmp_path / "a.mp4", frames=4)

    class Saved(VideoFromFile):
        def save_to(self, path):
            self.saved.append(path)
            Path(path).write_bytes(good.read_bytes())

    run(NAME, video=Saved(str(path)))
    assert service.tasks[0].image == good.read_bytes()


def test_a_video_of_images_is_saved_first(vendors, run, source):
    service = vendors()
    saved = VideoFromFile(str(source))
    run(NAME, video=SimpleNamespace(save_to=saved.save_to))
    assert service.tasks[0].image == source.read_bytes()


@pytest.mark.parametrize("video", [None, [], "a.mp4", torch.zeros(4, 48, 64, 3)])
def test_what_is_no_video_is_refused_in_a_sentence(vendors, run, comfy, video):
    service = vendors()
    with pytest.raises(RuntimeError, match=r"InvalidInputError: video must be a VIDEO, .*; got "):
        run(NAME, video=video)
    assert not service.requests
    assert not left(comfy)


def test_bad_options_are_said_before_anything_is_sent(vendors, run, video):
    service = vendors()
    with pytest.raises(RuntimeError, match="InvalidInputError: options must be a JSON object"):
        run(NAME, video=video, options="4k")
    assert not service.requests


def test_a_size_that_the_head_does_not_tell_is_looked_up(vendors, run, video, part, monkeypatch):
    vendors()
    headers = part("upscale_bridge.remote.videos")
    real = headers.read_header

    def silent(path, name="video"):
        found = real(path, name)
        return type(found)(found.format)

    monkeypatch.setattr(headers, "read_header", silent)
    assert json.loads(run(NAME, video=video)[1])["size"] == [64, 48]


def test_what_it_does_is_shown_on_the_node(vendors, run, comfy, video, caplog):
    caplog.set_level(logging.INFO, "upscale_bridge")
    comfy.context = SimpleNamespace(node_id="7", prompt_id="p")
    vendors(seconds=0.3)
    run(NAME, video=video)
    texts = [text for text, node in comfy.texts if node == "7"]
    assert any(text.startswith("running") for text in texts)
    said = "64 x 48 -> 64 x 48 by WaveSpeed Upscale Video (new, task "
    assert [text for text in caplog.messages if said in text]
    assert comfy.bars[0].updates[-1][0] == 1000


def test_other_nodes_run_meanwhile(vendors, call, comfy, video):
    vendors(seconds=0.5)

    async def both():
        running = asyncio.ensure_future(call(NAME, video=video))
        steps = 0
        while not running.done():
            await asyncio.sleep(0.01)
            steps += 1
        await running
        return steps

    assert asyncio.run(both()) > 10


def test_cancel_ends_the_node_at_once_and_the_next_run_goes_on(vendors, run, comfy, video, source):
    service = vendors(seconds=1.0)
    threading.Thread(target=lambda: (wait_until(lambda: service.tasks), cancel(comfy))).start()
    with pytest.raises(InterruptProcessingException):
        run(NAME, video=video)
    assert time.monotonic() - comfy.cancelled < 1
    comfy.interrupted = False
    made, info = run(NAME, video=video)
    assert data_of(made) == enlarged(source.read_bytes())
    assert json.loads(info)["tasks"][0]["how"] in ("joined", "resumed", "reused")
    assert len(service.tasks) == 1


def cancel(comfy):
    comfy.cancelled = time.monotonic()
    comfy.interrupted = True


def test_an_open_page_gets_two_frames_to_compare(vendors, run, comfy, video):
    vendors()
    comfy.sockets = {"page": object()}
    (told,) = run(NAME, video=video)["ui"]["upscale_bridge"]
    assert (told["size"], told["how"]) == ([64, 48], ["new"])
    files = [
        (comfy.user / "temp" / told[name]["subfolder"] / told[name]["filename"]).read_bytes()
        for name in ("before", "after")
    ]
    assert files[0] == files[1]  # the stand-in's video plays the same


def test_a_result_without_frames_is_given_all_the_same(vendors, run, comfy, video):
    service = vendors()
    comfy.sockets = {"page": object()}

    def accept(x):
        x.alter = lambda task, data: (matroska(), "video/webm")
        x.send(x.behave())

    service.faults["submit"].append(faults.Fault("other", accept))
    found = run(NAME, video=video)
    (told,) = found["ui"]["upscale_bridge"]
    assert "before" not in told
    assert Path(found["result"][0].get_stream_source()).suffix == ".webm"


def test_a_temporary_folder_that_cannot_be_made_is_told_and_nothing_is_lost(
    vendors, run, comfy, video
):
    service = vendors()
    (comfy.user / "temp").write_text("in the way")
    with pytest.raises(RuntimeError, match=r"SettingsError: Cannot make .*; free some space"):
        run(NAME, video=video)
    (comfy.user / "temp").unlink()
    assert json.loads(run(NAME, video=video)[1])["tasks"][0]["how"] == "reused"
    assert len(service.tasks) == 1


# --- the page


def test_advice_tells_price_and_key_but_no_size(part, comfy, monkeypatch):
    monkeypatch.delenv("WAVESPEED_API_KEY", raising=False)
    monkeypatch.delenv("WAVESPEED_BASE_URL", raising=False)
    values = {"model": "wavespeed-ai/video-upscaler", "options": "{}", "attempt": 1}
    found = part("nodes.advice_routes").advice({"node": NAME, "values": values, "size": [64, 48]})
    assert found["size"] is None
    texts = [json.dumps(note["text"]) for note in found["notes"]]
    assert any("There is no key for" in text for text in texts)
    assert any("per 5 s" in text for text in texts)


def test_resume_makes_no_images_of_it(vendors, run, video):
    service = vendors()
    run(NAME, video=video)
    with pytest.raises(RuntimeError, match="run WaveSpeed Upscale Video once more with the same"):
        run("ResumeUpscaleTask", task_id=service.tasks[0].id)


# --- a frame to compare


def test_frames_of_one_time_are_compared(part, tmp_path):
    import numpy as np

    before = films.make(tmp_path / "a.mp4", frames=40)
    after = films.make(tmp_path / "b.mkv", frames=40)
    first, second = part("nodes.video_io").pair(before, after)
    assert first.shape == second.shape == (1, 48, 64, 3)
    assert np.abs(first.numpy() - second.numpy()).max() < 0.05
    shown = 255 * first[0].numpy()
    assert min(np.abs(shown - films.pixels(index)).mean() for index in range(40)) < 4


def test_a_turned_video_is_compared_upright(part, tmp_path):
    path = films.make(tmp_path / "a.mp4", turn=90)
    first, _ = part("nodes.video_io").pair(path, path)
    assert first.shape == (1, 64, 48, 3)


def test_nothing_is_compared_without_frames(part, tmp_path):
    good = films.make(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"nothing")
    assert part("nodes.video_io").pair(good, tmp_path / "b.mp4") is None
    assert part("nodes.video_io").pair(tmp_path / "b.mp4", good) is None
