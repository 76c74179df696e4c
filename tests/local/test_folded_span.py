"""SPAN, whose convolutions spandrel makes anew in every call."""

import pytest
import torch

from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.folded_span import fold, folds
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(network):
    """One with random weights."""
    return network(norm=True, scale=2, gain=1.5)


def test_a_folded_network_computes_the_same(model):
    module = model.replica(CPU, torch.float32).module
    pixels = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        assert (module(pixels) - model._master.model(pixels)).abs().max() < 1e-5
    assert not [one for one in module.modules() if hasattr(one, "update_params")]


def test_the_hosts_own_network_stays_as_it_is(model):
    before = [type(one) for one in model._master.model.modules()]
    model.replica(CPU, torch.float32)
    assert [type(one) for one in model._master.model.modules()] == before


def test_threads_may_share_it_and_it_sees_what_its_layers_see(model):
    assert model.concurrent
    sight = model.sight()
    assert (sight.halo, sight.grid) == (21, 1)


@pytest.mark.parametrize("rolled", [True, False])
def test_tiles_for_want_of_memory_show_no_seams(model, rolled, monkeypatch):
    class Full(Memory):
        def free_bytes(self, device):
            return 0

    if not rolled:
        monkeypatch.setattr(model.replica(CPU, torch.float32), "rolled", None)
    image = torch.rand(1, 50, 75, 3)
    with torch.inference_mode():
        whole = model._master.model(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).clamp(0, 1)
    operation = LocalUpscale(scale_factor=2.0, tile_size=32)
    images, report = Engine(Full("cpu")).upscale(model, image, operation, Monitor())
    assert report.tiles > 4
    assert (images - whole).abs().max() < 1e-4


def test_another_network_is_left_alone():
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3))
    assert not folds(other)
    fold(other)
    assert isinstance(other[0], torch.nn.Conv2d)
