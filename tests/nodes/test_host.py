"""What the nodes tell ComfyUI, and what they ask of it."""

import base64
import copy
import io
import logging
import sys
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from tests.nodes.conftest import InterruptProcessingException


@pytest.fixture
def host(part, comfy):
    return part("nodes.host")


@pytest.fixture
def progress(part, comfy):
    return part("nodes.progress")


@pytest.fixture
def errors(part):
    return part("upscale_bridge.errors")


def test_progress_rises_to_the_end(upscale, images, comfy):
    upscale(images(3))
    values = [value for value, _, _ in comfy.bars[0].updates]
    assert values == sorted(values)
    assert len(set(values)) >= 3
    assert values[-1] == comfy.bars[0].total == 1000


@pytest.fixture
def previews(comfy):
    """The tiles that the page was shown, as pictures."""
    comfy.context = SimpleNamespace(node_id="17", prompt_id="p", list_index=None)

    def read():
        told = [data for event, data in comfy.events if event == "upscale_bridge.preview"]
        assert {(data["prompt"], data["node"]) for data in told} <= {("p", "17")}
        heads, files = zip(*(data["image"].split(",") for data in told), strict=True)
        assert set(heads) == {"data:image/jpeg;base64"}
        return [Image.open(io.BytesIO(base64.b64decode(file))) for file in files]

    return read


def test_previews_are_small_jpegs(upscale, images, previews, progress, monkeypatch):
    monkeypatch.setattr(progress, "_PREVIEW_SECONDS", -1)
    upscale(images(1, 4), alpha="lanczos")
    shown = previews()
    assert shown, "even a single tile is shown"
    for image in shown:
        assert (image.mode, image.width) == ("RGB", 16)
        assert image.height <= 12


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGB")])
def test_preview_of_any_channels_is_a_picture(progress, previews, channels, mode):
    progress.ComfyMonitor().preview(torch.full((5, 7, channels), 0.5))
    (image,) = previews()
    assert (image.mode, image.size) == (mode, (7, 5))
    assert image.getextrema() in ((128, 128), ((128, 128),) * 3)


def test_preview_of_a_large_tile_is_small(progress, previews):
    progress.ComfyMonitor().preview(torch.zeros(5000, 2000, 3))
    (image,) = previews()
    assert image.size == (200, 500)


def test_comfyui_keeps_no_preview_that_would_stay_on_the_node(upscale, comfy, previews):
    upscale(torch.rand(2, 60, 90, 3), tile_size=32)
    assert previews()
    assert not [preview for _, _, preview in comfy.bars[0].updates if preview]


def test_previews_are_rare(progress, previews, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    monitor = progress.ComfyMonitor()
    for step in range(10):
        clock.now = 100 + step * 0.2
        monitor.progress(step, 10)
        monitor.preview(torch.zeros(4, 4, 3))
    assert len(previews()) == 4


def test_cancel_ends_the_run(upscale, images, comfy):
    comfy.interrupted = True
    with pytest.raises(InterruptProcessingException):
        upscale(images())
    comfy.interrupted = False
    assert upscale(images())[0].shape == (1, 12, 16, 3), "the engine is free again"


def test_stop_becomes_an_interruption(host, errors):
    with pytest.raises(InterruptProcessingException), host.translated():
        raise errors.StoppedError


def test_error_becomes_its_class_and_sentence(host, errors):
    with pytest.raises(RuntimeError) as caught, host.translated():
        raise errors.DownloadError("The server is gone; try later.")
    assert type(caught.value) is RuntimeError
    assert str(caught.value) == "DownloadError: The server is gone; try later."
    assert isinstance(caught.value.__cause__, errors.DownloadError)


def test_full_memory_becomes_the_class_that_comfyui_knows(host, errors):
    with pytest.raises(torch.cuda.OutOfMemoryError, match="smaller scale"), host.translated():
        raise errors.OutOfMemoryError("It does not fit; choose a smaller scale factor.")


def test_bug_stays_what_it_is(host):
    with pytest.raises(ZeroDivisionError), host.translated():
        raise ZeroDivisionError


def test_status_is_logged_and_shown_on_the_node(upscale, images, comfy, caplog):
    caplog.set_level(logging.DEBUG, "upscale_bridge")
    comfy.context = SimpleNamespace(node_id="17", prompt_id="p", list_index=None)
    upscale(images(2))
    texts = [text for text, node_id in comfy.texts if node_id == "17"]
    assert texts[0] == "loading UpscaleBridge-x4"
    assert texts[-1] == "image 2 of 2, 100 %", "not loading for the whole run"
    assert f"Upscale Bridge: {texts[-1]}" in caplog.messages
    assert "8 x 6 -> 16 x 12 with UpscaleBridge-x4" in caplog.messages[-1]


def test_status_without_a_running_node_is_only_logged(upscale, images, comfy):
    upscale(images())
    assert comfy.texts == []


def test_what_should_be_read_stays_on_the_node(progress, comfy):
    comfy.context = SimpleNamespace(node_id="17", prompt_id="p")
    monitor = progress.ComfyMonitor()
    monitor.notice("shrunk")
    monitor.status("busy")
    assert [(data["text"], data["stays"]) for _, data in comfy.events] == [
        ("shrunk", True),
        ("busy", False),
    ]


def test_a_prompt_without_a_page_shows_nothing(upscale, images, comfy):
    comfy.context, comfy.client_id = SimpleNamespace(node_id="17", prompt_id="p"), None
    upscale(images())
    assert comfy.events == []


def test_model_folders_are_the_hosts_and_our_own(host, comfy, own_home):
    assert host.model_folders() == [comfy.models, own_home / "models"]


def test_service_is_one_for_all_nodes(host):
    assert host.service() is host.service()


@pytest.fixture
def memory(host):
    return host.service().engine.memory


def test_device_is_the_hosts(memory, comfy):
    comfy.device = torch.device("meta")
    assert memory.device() == torch.device("meta")


def test_free_memory_is_what_the_host_says(memory, comfy):
    assert memory.free_bytes(torch.device("meta")) == 12345
    assert comfy.asked == [("get_free_memory", torch.device("meta"))]
    assert memory.free_bytes(torch.device("cpu")) is None


def test_room_and_caches_are_asked_of_the_host(memory, comfy):
    memory.make_room(99, torch.device("meta"))
    memory.empty_cache(torch.device("meta"))
    assert comfy.asked == [("free_memory", 99, torch.device("meta")), ("soft_empty_cache",)]


def test_model_on_a_device_is_known_to_the_memory_manager(memory, comfy):
    device = torch.device("meta")  # the only other one that every machine has
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for module in (first, first, second):
        memory.place(module, device)
        assert module.weight.device == device
    patchers = [arguments[0] for name, arguments in comfy.asked if name == "load_models_gpu"]
    assert [patcher.model for patcher in patchers] == [first, first, second]
    assert patchers[0] is patchers[1], "a second patcher would count the model twice"
    assert patchers[0].devices == (device, torch.device("cpu"))


def test_a_copy_is_not_taken_for_its_original(memory, comfy):
    """Measured in ComfyUI 0.33: a copy in fp16 was believed to have loaded twice its own size."""
    original = torch.nn.Sequential(torch.nn.Linear(2, 2))
    original.model_loaded_weight_memory = 590848
    original[0].comfy_patched_weights = True
    copied = copy.deepcopy(original)
    memory.place(copied, torch.device("meta"))
    ((_, (patcher,)),) = [asked for asked in comfy.asked if asked[0] == "load_models_gpu"]
    assert patcher.loaded_size() == 0
    assert not hasattr(copied[0], "comfy_patched_weights")
    assert original.model_loaded_weight_memory == 590848
    assert original[0].comfy_patched_weights


def test_model_on_the_cpu_is_left_to_the_process(memory, comfy):
    module = torch.nn.Linear(2, 2)
    memory.place(module, torch.device("cpu"))
    assert comfy.asked == []
    assert module.weight.device.type == "cpu"


def test_results_go_to_the_hosts_device(host, monkeypatch):
    manager = sys.modules["comfy.model_management"]
    monkeypatch.setattr(manager, "intermediate_device", lambda: torch.device("meta"))
    moved = host.to_intermediate(torch.zeros(1, 2, 2, 3))
    assert (moved.device.type, moved.dtype) == ("meta", torch.float32)


def test_results_have_the_hosts_number_format(upscale, images, monkeypatch):
    manager = sys.modules["comfy.model_management"]
    # Only newer versions have it.
    monkeypatch.setattr(manager, "intermediate_dtype", lambda: torch.float16, raising=False)
    image, mask, _ = upscale(images(1, 4))
    assert image.dtype == mask.dtype == torch.float16
