"""SPAN, whose convolutions spandrel makes anew in every call."""

import pytest
import torch

from upscale_bridge.local.folded_span import fold, folds
from upscale_bridge.local.loader import import_spandrel, wrap_descriptor

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def descriptor():
    """Spandrel's own, with random weights whose output fills 0..1."""
    loader = import_spandrel().ModelLoader("cpu")
    from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(0)
    network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=16, upscale=2, norm=False).eval()
    last = network.upsampler[0]
    with torch.inference_mode():
        output = network(torch.rand(1, 3, 32, 32))
        last.weight.mul_(0.15 / output.std())
        last.bias.sub_(output.mean()).mul_(0.15 / output.std()).add_(0.5)
    return loader.load_from_state_dict(network.state_dict())


def test_a_folded_network_computes_the_same(descriptor):
    module = wrap_descriptor(descriptor, "span").replica(CPU, torch.float32).module
    pixels = torch.rand(1, 3, 40, 56)
    with torch.inference_mode():
        assert (module(pixels) - descriptor.model(pixels)).abs().max() < 1e-5
    assert not [one for one in module.modules() if hasattr(one, "update_params")]


def test_the_hosts_own_network_stays_as_it_is(descriptor):
    before = [type(one) for one in descriptor.model.modules()]
    wrap_descriptor(descriptor, "span").replica(CPU, torch.float32)
    assert [type(one) for one in descriptor.model.modules()] == before


def test_threads_may_share_it_and_it_sees_what_its_layers_see(descriptor):
    model = wrap_descriptor(descriptor, "span")
    assert model.concurrent
    sight = model.sight()
    assert (sight.halo, sight.grid) == (21, 1)


def test_tiles_show_no_seams(descriptor, upscale):
    model = wrap_descriptor(descriptor, "span")
    image = torch.rand(1, 90, 130, 3)
    with torch.inference_mode():
        whole = descriptor.model(image.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).clamp(0, 1)
    images, report = upscale(model, image, scale_factor=2.0, tile_size=32)
    assert report.tiles > 4
    assert (images - whole).abs().max() < 1e-4


def test_another_network_is_left_alone():
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3))
    assert not folds(other)
    fold(other)
    assert isinstance(other[0], torch.nn.Conv2d)
