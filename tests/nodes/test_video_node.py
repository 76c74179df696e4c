"""Local ESRGAN Upscale Video with ComfyUI's VIDEO."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("av")

from tests.nodes import films
from tests.nodes.conftest import InterruptProcessingException, VideoFromFile

VALUES = {
    "model": "UpscaleBridge-x4",
    "scale_factor": 2.0,
    "tile_size": 0,
    "precision": "auto",
    "download": False,
    "crf": 4,
}


@pytest.fixture
def video_node(pack, comfy, part, loaded, monkeypatch):
    monkeypatch.setattr(part("upscale_bridge.local.loader"), "load_model", loaded)
    return pack.NODE_CLASS_MAPPINGS["LocalESRGANUpscaleVideo"]()


@pytest.fixture
def source(tmp_path):
    return films.make(tmp_path / "a.mp4", frames=4, sound="aac")


def left(comfy):
    """Return what lies in our part of ComfyUI's temporary folder."""
    return sorted((comfy.user / "temp" / "upscale_bridge").glob("*"))


def test_a_video_is_enlarged_with_its_sound(video_node, comfy, source):
    video, info = video_node.upscale(video=VideoFromFile(str(source)), **VALUES)
    frames, times = films.read(video.get_stream_source())
    assert [frame.shape for frame in frames] == [(96, 128, 3)] * 4
    assert times == pytest.approx(films.read(source)[1])
    assert films.packets(video.get_stream_source()) == films.packets(source)
    told = json.loads(info)
    assert (told["frames"], told["damaged"]) == (4, 0)
    assert (told["input_size"], told["size"]) == ([64, 48], [128, 96])
    assert told["model"] == "UpscaleBridge-x4"
    assert left(comfy) == [Path(video.get_stream_source())]


@pytest.mark.parametrize("video", [None, [], "a.mp4", torch.zeros(4, 48, 64, 3)])
def test_what_is_no_video_is_refused_in_a_sentence(video_node, comfy, video):
    with pytest.raises(RuntimeError, match=r"InvalidInputError: video must be a VIDEO, .*; got "):
        video_node.upscale(video=video, **VALUES)
    assert not left(comfy)


def test_frames_are_what_the_image_node_gives(video_node, source, upscale):
    video, _ = video_node.upscale(video=VideoFromFile(str(source)), **VALUES)
    found, _ = films.read(video.get_stream_source())
    for before, after in zip(films.read(source)[0], found, strict=True):
        image = upscale(torch.from_numpy(before)[None] / 255)[0]
        assert (image[0] * 255 - torch.from_numpy(after)).abs().mean() < 2.5


@pytest.mark.parametrize(("factor", "size"), [(0.5, (34, 16)), (1.0, (68, 32)), (1.5, (100, 50))])
def test_sides_of_the_result_are_even(video_node, tmp_path, factor, size):
    source = films.make(tmp_path / "odd.mkv", frames=1, size=(67, 33), format="yuv444p")
    video, info = video_node.upscale(
        video=VideoFromFile(str(source), dimensions=(67, 33)),
        **{**VALUES, "scale_factor": factor},
    )
    assert films.read(video.get_stream_source())[0][0].shape[1::-1] == size
    assert json.loads(info)["size"] == list(size)


def test_progress_is_that_of_the_whole_video(video_node, comfy, source):
    comfy.context = SimpleNamespace(node_id="7", prompt_id="p")
    video_node.upscale(video=VideoFromFile(str(source)), **VALUES)
    (bar,) = comfy.bars
    done = [value for value, *_ in bar.updates]
    assert done == sorted(done)
    assert {250, 500, 750, 1000} <= set(done)
    texts = [text for text, node_id in comfy.texts if node_id == "7"]
    assert any(text.startswith("Frame 1 of about 4, ") for text in texts)
    assert texts[-1].startswith("Frame 4 of about 4, ")
    first = next(place for place, text in enumerate(texts) if text.startswith("Frame "))
    assert all(text.startswith("Frame ") for text in texts[first:]), "one line a frame"


def test_a_stop_leaves_nothing_behind(video_node, comfy, source, part, monkeypatch):
    def stop(monitor, text):
        comfy.interrupted = True

    monkeypatch.setattr(
        part("nodes.progress").ComfyMonitor, "status", stop
    )  # after the first frame
    with pytest.raises(InterruptProcessingException):
        video_node.upscale(video=VideoFromFile(str(source)), **VALUES)
    assert not left(comfy)


@pytest.mark.parametrize("options", [{"window": (0.5, 1.0)}, {"dimensions": (32, 32)}])
def test_comfyui_cuts_and_crops(video_node, comfy, source, options):
    video = VideoFromFile(str(source), **options)
    made, _ = video_node.upscale(video=video, **VALUES)
    assert len(video.saved) == 1
    assert left(comfy) == [Path(made.get_stream_source())]  # what it saved is gone


def test_a_video_of_images_is_saved_first(video_node, source):
    saved = VideoFromFile(str(source))
    video = SimpleNamespace(save_to=saved.save_to)
    assert json.loads(video_node.upscale(video=video, **VALUES)[1])["frames"] == 4


def test_a_video_in_memory_is_saved_first(video_node, source):
    class InMemory(VideoFromFile):
        def get_stream_source(self):
            return object()

    assert json.loads(video_node.upscale(video=InMemory(str(source)), **VALUES)[1])["frames"] == 4


def test_lost_bits_are_told(video_node, comfy, tmp_path):
    comfy.context = SimpleNamespace(node_id="7", prompt_id="p")
    source = films.make(tmp_path / "a.mp4", frames=1, format="yuv420p10le")
    video_node.upscale(video=VideoFromFile(str(source)), **VALUES)
    assert ("The video has 10 bits per channel; the result has 8.", "7") in comfy.texts


def test_an_open_page_gets_two_frames_to_compare(video_node, comfy, source):
    comfy.sockets = {"page": object()}
    (told,) = video_node.upscale(video=VideoFromFile(str(source)), **VALUES)["ui"]["upscale_bridge"]
    assert told["size"] == [128, 96]
    assert {told["before"]["type"], told["after"]["type"]} == {"temp"}


def test_errors_are_one_sentence(video_node, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(RuntimeError, match="InvalidInputError: The video cannot be read"):
        video_node.upscale(video=VideoFromFile(str(tmp_path / "a.mp4")), **VALUES)


def test_a_temporary_folder_that_cannot_be_made_is_told(video_node, comfy, source):
    (comfy.user / "temp").write_text("in the way")
    with pytest.raises(RuntimeError, match=r"SettingsError: Cannot make .*; free some space"):
        video_node.upscale(video=VideoFromFile(str(source)), **VALUES)


def test_advice_names_the_size_that_really_comes(part, comfy):
    body = {"node": "LocalESRGANUpscaleVideo", "values": VALUES | {"scale_factor": 1.5}}
    advice = part("nodes.advice_routes").advice
    assert tuple(advice({**body, "size": [67, 33]})["size"]) == (100, 50)
