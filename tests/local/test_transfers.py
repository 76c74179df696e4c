"""Tiles on their way: a device works on the next one while the last one is stored."""

import gc
import weakref

import pytest
import torch

from upscale_bridge.local import passes
from upscale_bridge.local.devices import Memory, bring
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.local.transfers import Transfers
from upscale_bridge.monitor import Monitor

CPU = torch.device("cpu")


class Late(Transfers):
    """A device with a queue: what is asked of it is there when it is waited for."""

    ahead = 2

    def __init__(self):
        super().__init__(CPU)
        self.events = []

    def mark(self):
        self.events.append("asked")
        return len(self.events)

    def truth(self, value, mark):
        assert value.dim() == 0
        self.events.append("waited")
        return super().truth(value, mark)


@pytest.fixture
def late(monkeypatch):
    found = Late()
    monkeypatch.setattr(passes, "transfers", lambda device: found)
    monkeypatch.setattr(passes, "worker_count", lambda: 1)
    return found


def test_the_next_tile_is_asked_for_before_the_last_one_is_waited_for(
    late, stub, nearest, upscale, picture
):
    images = picture(64, 96)
    result, report = upscale(stub(nearest), images, scale_factor=2, tile_size=32)
    assert report.tiles == 6
    assert late.events == ["asked", *["asked", "waited"] * 5, "waited"]
    expected = nearest(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(result, expected)


def test_tiles_that_overflowed_are_computed_again_though_others_are_on_their_way(
    late, stub, nearest, picture
):
    def run(pixels):
        enlarged = nearest(pixels)
        return enlarged * float("inf") if pixels.dtype != torch.float32 else enlarged

    images = picture(150, 150).bfloat16().float()
    operation = LocalUpscale(scale_factor=2.0, tile_size=32, precision="bf16")
    engine = Engine(Memory("cpu"))
    result, report = engine.upscale(stub(run), images, operation, Monitor())
    assert (report.tiles, report.redone_tiles) == (9, 9)
    expected = nearest(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(result, expected)


def test_fading_tiles_are_stored_in_order(late, stub, upscale, picture):
    def everything(pixels):
        return pixels * 0.5 + pixels.mean(dim=(2, 3), keepdim=True) * 0.5

    model = stub(everything, scale=1)
    images = picture(150, 140)
    result, report = upscale(model, images, scale_factor=1, tile_size=40)
    late.ahead = 1
    again, _ = upscale(model, images, scale_factor=1, tile_size=40)
    assert report.tiles > 4
    assert torch.equal(result, again)


def test_what_did_not_fit_is_given_back_before_another_try(stub, nearest, picture):
    held = []

    def run(pixels):
        if ready and pixels.shape[2] * pixels.shape[3] > 70 * 70:
            tensor = pixels.clone()
            held.append(weakref.ref(tensor))
            raise torch.OutOfMemoryError("Allocation on device")
        return nearest(pixels)

    class Looking(Memory):
        def empty_cache(self, device):
            assert held
            assert all(one() is None for one in held)

    ready, model = False, stub(run)
    model.sight()
    ready = True
    gc.disable()
    try:
        operation = LocalUpscale(scale_factor=2.0, tile_size=120)
        Engine(Looking("cpu")).upscale(model, picture(120, 120), operation, Monitor())
    finally:
        gc.enable()


def test_a_module_is_moved_only_when_it_is_elsewhere(monkeypatch):
    module = torch.nn.BatchNorm2d(3)
    moved = []
    monkeypatch.setattr(type(module), "to", lambda self, device: moved.append(device))
    bring(module, CPU)
    assert moved == []
    bring(module, torch.device("meta"))
    assert moved == [torch.device("meta")]
    module.running_mean = torch.zeros(3, device="meta")
    bring(module, CPU)
    assert moved[1:] == [CPU]


@pytest.mark.parametrize("channels", [[0, 1, 2], [1], [3], [0, 1]])
def test_channels_come_to_their_places(channels):
    pixels = torch.rand(5, 7, len(channels)).half()
    area = torch.full((5, 7, max(channels) + 1), -1.0)
    Transfers(CPU).store(pixels, None, area, channels)
    assert torch.equal(area[..., channels], pixels.float())
    rest = [channel for channel in range(area.shape[-1]) if channel not in channels]
    assert (area[..., rest] == -1).all()
