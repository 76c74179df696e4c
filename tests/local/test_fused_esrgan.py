"""The fused ESRGAN against the plain one, and how far models see."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upscale_bridge.local import fused_esrgan
from upscale_bridge.local.fused_esrgan import slim
from upscale_bridge.local.loader import import_spandrel
from upscale_bridge.local.receptive_field import LARGEST_HALO, measure_receptive_field

CPU = torch.device("cpu")
MARGIN = 4


@pytest.fixture
def plain(state):
    """Make spandrel's own network; same arguments as `state`."""
    loader = import_spandrel().ModelLoader("cpu")
    return lambda **shape: (
        loader.load_from_state_dict(dict(state(**shape))).model.eval().requires_grad_(False)
    )


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(24, 20), (1, 1), (2, 37), (61, 3)])
def test_fused_equals_plain(plain, monkeypatch, scale, size):
    # Several strips even in small images.
    monkeypatch.setattr(fused_esrgan, "_STRIP", {"cpu": 100})
    module = plain(blocks=1, scale=scale)
    network = copy.deepcopy(module.model)
    assert slim(module)
    pixels = torch.rand(1, 3, *size)
    with torch.inference_mode():
        found, expected = module.model(pixels), network(pixels)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 4])
def test_fused_takes_other_channels_and_leaves_its_input(plain, channels):
    module = plain(blocks=1, channels=channels)
    network = copy.deepcopy(module.model)
    assert slim(module)
    pixels = torch.rand(1, channels, 30, 30)
    before = pixels.clone()
    with torch.inference_mode():
        torch.testing.assert_close(module.model(pixels), network(pixels), atol=2e-5, rtol=0)
    assert torch.equal(pixels, before)


def test_other_modules_are_left_alone(plain):
    compact = plain()
    layers = dict(compact.named_modules())
    assert not slim(compact)
    assert dict(compact.named_modules()) == layers
    assert not slim(nn.Conv2d(3, 3, 3))


def pixel_shuffle_upsampler():
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(num_blocks=1, num_filters=16, upsampler="pixel_shuffle")


def plus_network():
    from spandrel.architectures.ESRGAN import ESRGAN

    return ESRGAN(num_blocks=1, num_filters=16, plus=True)


@pytest.mark.parametrize("build", [pixel_shuffle_upsampler, plus_network])
def test_unknown_layouts_are_left_alone(build):
    module = build().eval()
    before = module.model
    with torch.inference_mode():
        assert not slim(module)
    assert module.model is before


@pytest.mark.parametrize(
    ("index", "layer"),
    [(2, nn.Upsample(scale_factor=2, mode="bilinear")), (4, nn.ReLU()), (0, nn.Identity())],
)
def test_changed_layers_are_noticed(plain, index, layer):
    module = plain(blocks=1)
    module.model[index] = layer
    assert not slim(module)


def test_network_that_computes_something_else_is_left_plain(plain, caplog):
    module = plain(blocks=1)
    activation = next(m for m in module.model if isinstance(m, nn.LeakyReLU))
    activation.negative_slope = 0.5
    before = module.model
    assert not slim(module)
    assert module.model is before
    assert "using the plain one" in caplog.text


def sight(run, scale=1, multiple=1):
    return measure_receptive_field(lambda p: (run(p), True), 3, scale, multiple, CPU, torch.float32)


@pytest.mark.parametrize("reach", [0, 1, 3, 7, 20])
def test_halo_is_the_receptive_field_and_a_margin(reach):
    side = 2 * reach + 1
    found = sight(lambda p: F.avg_pool2d(F.pad(p, (reach,) * 4), side, stride=1))
    # The outermost pixels weigh little in a large mean.
    assert max(1, reach // 2) < found.halo <= reach + MARGIN
    assert found.exact


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_halo_of_random_convolutions_is_at_most_their_field(layers):
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(layers)))
    found = sight(lambda p: F.interpolate(network(p), scale_factor=2.0), scale=2)
    assert 0 < found.halo <= layers + MARGIN


def test_models_that_see_everything_are_known():
    found = sight(lambda p: p * 0.5 + p.mean(dim=(2, 3), keepdim=True) * 0.5)
    assert found.halo == LARGEST_HALO
    assert not found.exact


@pytest.mark.parametrize("window", [(8, 8), (16, 16), (16, 4), (4, 16)], ids=str)
def test_grid_of_windows_is_found_in_both_directions(window):
    tall, wide = window

    def windows(pixels):
        height, width = pixels.shape[2:]
        padded = F.pad(pixels, (0, -width % wide, 0, -height % tall), mode="replicate")
        means = F.interpolate(F.avg_pool2d(padded, window), size=padded.shape[2:])
        return means[..., :height, :width]

    found = sight(windows)
    assert found.grid % max(window) == 0
    assert found.halo <= max(window) + MARGIN


@pytest.mark.parametrize(("rows", "columns"), [(9, 1), (1, 9)])
def test_what_is_seen_above_counts_as_what_is_seen_beside(rows, columns):
    network = nn.Conv2d(3, 3, (2 * rows + 1, 2 * columns + 1), padding=(rows, columns))
    assert 9 <= sight(network).halo <= 9 + MARGIN


def test_grid_is_a_multiple_of_what_the_model_asks_for():
    assert sight(lambda p: p, multiple=12).grid % 12 == 0


def test_all_counts_as_seen_where_memory_is_too_short_for_the_probe():
    def scarce(pixels):
        raise MemoryError

    assert sight(scarce).halo == LARGEST_HALO
    with pytest.raises(ValueError, match="broken"):
        sight(lambda pixels: (_ for _ in ()).throw(ValueError("broken")))


def test_overflow_while_measuring_is_not_taken_for_blindness():
    found = measure_receptive_field(
        lambda p: (p * float("nan"), False), 3, 1, 1, CPU, torch.bfloat16
    )
    assert found.halo == LARGEST_HALO
