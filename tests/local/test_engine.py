"""What the engine returns, whatever the tiles."""

import pytest
import torch
import torch.nn.functional as F

from upscale_bridge.errors import EngineError
from upscale_bridge.images.resample import resize
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.local.passes import SMALLEST_TILE, RunSetup
from upscale_bridge.monitor import Monitor

CPU = torch.device("cpu")
STEP = 1 / 255


def whole(model, images):
    """Return what one call of the model on the whole image gives."""
    with torch.inference_mode():
        output, _ = model.replica(CPU, torch.float32)(images.permute(0, 3, 1, 2).contiguous())
    return output.permute(0, 2, 3, 1).clone()


@pytest.fixture
def scarce():
    """Upscale where nothing but the smallest tile fits into memory."""

    class Full(Memory):
        def free_bytes(self, device):
            return 0

    engine = Engine(Full("cpu"))
    return lambda model, images, **settings: engine.upscale(
        model, images, LocalUpscale(**settings), Monitor()
    )


def test_shipped_model_needs_no_tiles_and_is_the_same_with_them(shipped, scarce, upscale, picture):
    images = picture(66, 70)
    expected = whole(shipped, images)
    for run, settings, tiles in (
        (upscale, {"tile_size": 32}, 1),
        (upscale, {"tile_size": 0}, 1),
        (scarce, {}, 9),
    ):
        result, report = run(shipped, images, **settings)
        assert report.tiles == tiles
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_tiled_esrgan_equals_untiled(network, scarce, upscale, picture):
    model = network(blocks=2, gain=2.0)
    images = picture(66, 70)
    expected = whole(model, images)
    assert expected.std() > 0.05
    result, report = scarce(model, images)
    assert report.tiles == 9
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    result, report = upscale(model, images)
    assert report.tiles == 1
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", [8, 16])
def test_tiles_lie_on_the_grid_of_the_model(stub, upscale, picture, grid):
    def windows(pixels):
        height, width = pixels.shape[2:]
        rest = (0, -width % grid, 0, -height % grid)
        means = F.avg_pool2d(F.pad(pixels, rest, mode="replicate"), grid)
        return F.interpolate(means, scale_factor=float(grid))[..., :height, :width]

    model = stub(windows, scale=1)
    images = picture(90, 110)
    result, report = upscale(model, images, scale_factor=1, tile_size=36)
    assert report.tiles >= 6
    torch.testing.assert_close(result, whole(model, images), atol=1e-5, rtol=0)


def test_halo_holds_the_reach_of_the_downscale(stub, nearest):
    setting = RunSetup(stub(nearest), Memory("cpu"), CPU, torch.float32, tile_side=32)
    exact, downscaled = setting.plan(99, 99, (198, 198)), setting.plan(99, 99, (99, 99))
    assert downscaled.halo >= exact.halo + 3


@pytest.mark.parametrize("factor", [1.0, 1.5, 2.3, 3.9])
@pytest.mark.parametrize("blocks", [0, 1])
def test_streaming_downscale_equals_downscale_of_the_whole(
    network, upscale, scarce, picture, factor, blocks
):
    model = network(blocks=blocks, width=8)
    images = picture(66, 70)
    expected = resize(whole(model, images)[0], round(70 * factor), round(66 * factor))
    for run, tiles in ((upscale, 1), (scarce, 9)):
        result, report = run(model, images, scale_factor=factor)
        assert (report.tiles, report.passes) == (tiles, 1)
        torch.testing.assert_close(result[0], expected, atol=1e-5, rtol=0)


def test_later_pass_runs_on_the_result_of_the_first(stub, blurred, upscale, picture):
    model = stub(blurred)
    images = picture(40, 50)
    result, report = upscale(model, images, scale_factor=4)
    assert report.passes == 2
    torch.testing.assert_close(result, whole(model, whole(model, images)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(30, 20), (24, 16)])
def test_factor_below_one_runs_no_model(engine, stub, picture, size):
    model, images = stub(lambda pixels: pytest.fail("the model ran")), picture(40, 60)
    operation = LocalUpscale(scale_factor=0.5)
    result, report = engine.upscale(model, images, operation, Monitor(), size)
    assert torch.equal(result[0], resize(images[0], *size))
    assert (report.passes, report.tiles, report.size) == (0, 0, size)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("factor", [0.25, 0.77, 1.0, 1.3, 2.0, 3.25, 4.0, 5.5, 16.0])
def test_size_is_exact_for_every_factor(stub, nearest, upscale, picture, scale, factor):
    model = stub(lambda pixels: nearest(pixels, scale), scale=scale)
    result, report = upscale(model, picture(11, 17), scale_factor=factor)
    assert result.shape == (1, round(11 * factor), round(17 * factor), 3)
    assert report.input_size == (17, 11)
    assert report.size == (result.shape[2], result.shape[1])
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 4000), (1500, 2)])
def test_odd_shapes_are_upscaled(network, upscale, height, width):
    model = network(width=8)
    images = torch.rand(1, height, width, 3)
    result, _ = upscale(model, images)
    assert result.shape == (1, height * 4, width * 4, 3)
    torch.testing.assert_close(result, whole(model, images), atol=STEP / 2, rtol=0)


@pytest.mark.parametrize("tile_size", [1, 17, 31])
def test_tiny_tile_sizes_are_raised(stub, nearest, upscale, recorder, picture, tile_size):
    monitor = recorder()
    upscale(stub(nearest), picture(64, 64), monitor, scale_factor=2, tile_size=tile_size)
    assert len(monitor.previews) == 4
    assert {tuple(p.shape) for p in monitor.previews} == {(2 * SMALLEST_TILE,) * 2 + (3,)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
@pytest.mark.parametrize("channels", [3, 4])
def test_input_is_not_modified(stub, nearest, upscale, picture, dtype, factor, channels):
    images = (picture(20, 20, channels) * 3 - 1).to(dtype)
    images[0, 2:4, 2:4] = float("nan")
    images[0, 6:9, 6:9, -1] = 0
    before = images.clone()
    result, _ = upscale(stub(nearest), images, scale_factor=factor)
    assert torch.equal(images.nan_to_num(nan=7), before.nan_to_num(nan=7))
    assert result.dtype == torch.float32
    assert result.data_ptr() != images.data_ptr()


def test_values_out_of_range_are_clamped_and_nan_is_black(stub, nearest, upscale):
    images = torch.full((1, 8, 8, 3), 0.5)
    images[0, 0, 0] = torch.tensor([float("nan"), float("inf"), float("-inf")])
    images[0, 4, 4] = torch.tensor([-3.0, 7.0, 0.25])
    # Halved, so that what the model was given shows.
    model = stub(lambda pixels: nearest(pixels) * 0.5)
    result, report = upscale(model, images, scale_factor=2)
    assert result[0, 0, 0].tolist() == [0, 0.5, 0]
    assert result[0, 8, 8].tolist() == [0, 0.5, 0.125]
    assert report.redone_tiles == 0


def test_output_of_the_model_is_clamped(stub, nearest, upscale, picture):
    result, _ = upscale(stub(lambda p: nearest(p) * 4 - 2), picture(9, 9), scale_factor=2)
    assert (result.min(), result.max()) == (0, 1)


def test_two_runs_are_bit_equal(shipped, upscale, picture):
    images = picture(70, 90)
    first, _ = upscale(shipped, images, tile_size=32, scale_factor=3)
    second, _ = upscale(shipped, images, tile_size=32, scale_factor=3)
    assert torch.equal(first, second)


def test_batch_equals_single_images(network, upscale, picture):
    model = network()
    images = picture(40, 50, batch=3)
    together, report = upscale(model, images, tile_size=32)
    alone = [upscale(model, image[None], tile_size=32) for image in images]
    assert torch.equal(together, torch.cat([result for result, _ in alone]))
    assert report.tiles == sum(single.tiles for _, single in alone)


def test_views_and_channels_first_memory_are_taken(stub, nearest, upscale, picture):
    images = picture(40, 50)
    strided = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)[:, ::2, 1::3]
    expected, _ = upscale(stub(nearest), strided.contiguous())
    assert torch.equal(upscale(stub(nearest), strided)[0], expected)


def test_models_that_see_everything_fade_into_each_other(stub, nearest, upscale, picture):
    # The mean of a tile stands for whatever a global model takes from all of its input.
    model = stub(lambda p: nearest(0.5 * p + 0.5 * p.mean(dim=(2, 3), keepdim=True)))
    ramp = torch.linspace(0, 1, 160).reshape(1, 1, 160, 1).expand(1, 40, 160, 3)
    result, report = upscale(model, ramp.contiguous(), scale_factor=2, tile_size=80)
    assert report.tiles >= 2
    # Unblended, the means of the two halves (0.25 and 0.75) would make a step of 0.1 and more.
    assert float(result[0, :, 1:].sub(result[0, :, :-1]).abs().max()) < 0.05


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_overflow_in_a_short_format_is_redone_in_fp32(stub, nearest, upscale, picture, bad):
    def overflowing(pixels):
        output = nearest(pixels)
        if pixels.dtype == torch.bfloat16:
            output = output + torch.where(pixels.mean() > 0.8, bad, 0.0)
        return output

    images = picture(32, 64) * 0.5
    images[:, :, 36:] = 1.0
    result, report = upscale(
        stub(overflowing), images, scale_factor=2, tile_size=32, precision="bf16"
    )
    assert report.precision == "bf16"
    assert (report.tiles, report.redone_tiles) == (2, 1)
    assert ", 2 tiles, " in report.summary
    torch.testing.assert_close(
        result.permute(0, 3, 1, 2), nearest(images.permute(0, 3, 1, 2)), atol=1 / 128, rtol=0
    )
    assert torch.equal(result[:, :, 72:], torch.ones(1, 64, 56, 3))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_overflow_in_fp32_is_an_error(stub, nearest, upscale, picture, bad):
    model = stub(lambda pixels: nearest(pixels) + bad)
    with pytest.raises(EngineError, match="choose another model"):
        upscale(model, picture(8, 8))


def test_report_is_plain_data(stub, nearest, upscale, picture):
    model = stub(nearest)
    report = upscale(model, picture(8, 8), scale_factor=3)[1].as_dict()
    seconds = report.pop("seconds")
    assert seconds >= 0
    assert report == {
        "model": model.name,
        "architecture": "RealESRGAN Compact",
        "device": "cpu",
        "precision": "fp32",
        "passes": 2,
        "tiles": 2,
        "redone_tiles": 0,
        "shrunk_to": 0,
        "input_size": (8, 8),
        "size": (24, 24),
        "model_version": "",
    }


@pytest.mark.parametrize("factor", [1.0, 1.9, 2.0, 3.7])
@pytest.mark.parametrize("size", [(96, 64), (101, 77), (8, 8), (400, 16)])
def test_size_takes_the_place_of_the_exact_one(engine, network, picture, factor, size):
    """The model's output is resampled once, whatever the size."""
    model, images = network(width=8), picture(25, 32)
    operation = LocalUpscale(scale_factor=factor, tile_size=32)
    result, report = engine.upscale(model, images, operation, Monitor(), size)
    assert result.shape == (1, size[1], size[0], 3)
    assert (report.size, report.passes) == (size, 1)
    expected = resize(whole(model, images)[0], *size)
    torch.testing.assert_close(result[0], expected, atol=STEP / 2, rtol=0)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 9.5])
def test_size_that_is_the_exact_one_changes_nothing(engine, stub, blurred, picture, factor):
    model, images = stub(blurred), picture(20, 30)
    size = round(30 * factor), round(20 * factor)
    operation = LocalUpscale(scale_factor=factor)
    given, _ = engine.upscale(model, images, operation, Monitor(), size)
    plain, _ = engine.upscale(model, images, operation, Monitor())
    assert torch.equal(given, plain)


@pytest.mark.parametrize("size", [(500, 300), (488, 296), (640, 480)])
def test_size_beyond_the_factor_is_reached_in_the_same_passes(engine, stub, nearest, picture, size):
    operation = LocalUpscale(scale_factor=4)
    result, report = engine.upscale(stub(nearest), picture(75, 125), operation, Monitor(), size)
    assert result.shape == (1, size[1], size[0], 3)
    assert report.passes == 2
