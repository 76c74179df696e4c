"""Gray, colour and transparency through models of any number of channels."""

import pytest
import torch

from upscale_bridge.images.channels import alpha_channel, fill_transparent, layers

COMBINATIONS = pytest.mark.parametrize(
    ("channels", "model_channels"), [(c, m) for c in (1, 2, 3, 4) for m in (1, 3, 4)]
)
ALPHA_MODES = pytest.mark.parametrize("alpha", ["model", "lanczos"])


@COMBINATIONS
@ALPHA_MODES
def test_every_combination_keeps_its_channels(
    network, upscale, picture, channels, model_channels, alpha
):
    model = network(channels=model_channels, width=8)
    images = picture(20, 40, channels, batch=2)
    result, _ = upscale(model, images, alpha=alpha, tile_size=32)
    assert result.shape == (2, 80, 160, channels)
    assert result.isfinite().all()


@COMBINATIONS
@ALPHA_MODES
def test_every_channel_comes_out_where_it_went_in(
    stub, nearest, upscale, channels, model_channels, alpha
):
    levels = torch.tensor([0.2, 0.4, 0.6, 0.8])[:channels]
    images = levels.expand(1, 12, 12, channels).contiguous()
    result, _ = upscale(stub(nearest, channels=model_channels), images, alpha=alpha, scale_factor=2)
    torch.testing.assert_close(result, levels.expand(1, 24, 24, channels), atol=1e-6, rtol=0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("model_channels", [1, 3, 4])
def test_gray_equals_gray_shown_as_colour(network, upscale, picture, channels, model_channels):
    model = network(channels=model_channels, width=8)
    gray = picture(20, 20, channels)
    result, _ = upscale(model, gray)
    colour, _ = upscale(model, gray[..., :1].expand(-1, -1, -1, 3).contiguous())
    torch.testing.assert_close(result[..., 0], colour.mean(dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("model_channels", [1, 3])
@ALPHA_MODES
@pytest.mark.parametrize("level", [1.0, 0.0, 0.5])
def test_even_alpha_stays_exactly_what_it_is(
    network, upscale, picture, channels, model_channels, alpha, level
):
    images = picture(20, 20, channels)
    images[..., -1] = level
    result, _ = upscale(network(channels=model_channels, width=8), images, alpha=alpha)
    assert (result[..., -1] == level).all()


@pytest.mark.parametrize("alpha", ["model", "lanczos"])
@pytest.mark.parametrize("factor", [2.0, 3.0, 5.0])
def test_opaque_alpha_stays_exact_at_any_factor(stub, blurred, upscale, picture, alpha, factor):
    images = picture(20, 20, 4)
    images[..., 3] = 1.0
    result, _ = upscale(stub(blurred), images, alpha=alpha, scale_factor=factor)
    assert (result[..., 3] == 1).all()


def test_colours_do_not_depend_on_how_alpha_is_enlarged(network, upscale, picture):
    model, images = network(width=8), picture(20, 20, 4)
    by_model, _ = upscale(model, images, alpha="model")
    by_lanczos, _ = upscale(model, images, alpha="lanczos")
    assert torch.equal(by_model[..., :3], by_lanczos[..., :3])
    assert not torch.equal(by_model[..., 3], by_lanczos[..., 3])


@ALPHA_MODES
@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_hidden_leaves_no_dark_fringe(stub, blurred, upscale, alpha, channels):
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    disk = ((y - 20).hypot(x - 20) < 12).float()
    images = disk[None, ..., None].expand(1, 40, 40, channels).contiguous()
    result, _ = upscale(stub(blurred), images, alpha=alpha, scale_factor=4, tile_size=32)
    seen = result[..., -1] > 0
    assert 0 < seen.float().mean() < 1
    colours = result[..., :-1][seen]
    torch.testing.assert_close(colours, torch.ones_like(colours))


def test_fill_keeps_visible_pixels_and_alpha():
    image = torch.rand(17, 23, 4)
    image[..., 3] = (image[..., 3] > 0.7).float() * image[..., 3]
    before = image.clone()
    filled = fill_transparent(image)
    visible = image[..., 3] > 0
    assert torch.equal(image, before)
    assert torch.equal(filled[visible], image[visible])
    assert torch.equal(filled[..., 3], image[..., 3])
    assert filled.isfinite().all()


def test_fill_takes_the_colours_around():
    image = torch.zeros(16, 16, 4)
    image[:8, :8] = torch.tensor([1.0, 0.5, 0.25, 1.0])
    colours = fill_transparent(image)[..., :3]
    torch.testing.assert_close(colours, torch.tensor([1.0, 0.5, 0.25]).expand(16, 16, 3))


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_fill_returns_the_image_itself_when_there_is_nothing_to_do(level):
    image = torch.rand(5, 5, 2)
    image[..., 1] = level
    assert fill_transparent(image) is image


@COMBINATIONS
@pytest.mark.parametrize("with_alpha", [True, False])
def test_layers_make_every_wanted_channel_once(channels, model_channels, with_alpha):
    found = sorted(
        target
        for layer in layers(channels, model_channels, with_alpha=with_alpha)
        for target in layer.targets
    )
    alpha = alpha_channel(channels)
    assert found == [c for c in range(channels) if with_alpha or c != alpha]


def test_colour_runs_once_through_a_colour_model():
    assert len(layers(3, 3, with_alpha=True)) == 1
    assert len(layers(4, 4, with_alpha=True)) == 1
    assert len(layers(4, 3, with_alpha=True)) == 2
    assert len(layers(4, 3, with_alpha=False)) == 1
