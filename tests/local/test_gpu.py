"""What only a GPU can show; skipped where there is none."""

import pytest
import torch

from upscale_bridge.errors import OutOfMemoryError
from upscale_bridge.images.resample import resize
from upscale_bridge.local import kernel_esrgan
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine, RunSetup, bytes_per_pixel
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA or ROCm")

STEP = 1 / 255


@pytest.fixture
def gpu():
    """Upscale on the GPU; return images and report."""
    engine = Engine(Memory("cuda"))
    return lambda model, images, **settings: engine.upscale(
        model, images, LocalUpscale(**settings), Monitor()
    )


@pytest.fixture
def scarce():
    """Limit this process to a number of bytes of GPU memory."""
    total = torch.cuda.get_device_properties(0).total_memory

    def limit(size):
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(size / total)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.fixture(params=["shipped", "esrgan"])
def model(request, network):
    if request.param == "shipped":
        return request.getfixturevalue("shipped")
    return network(blocks=3, width=64)


def test_auto_chooses_the_gpu():
    assert Memory().device().type == "cuda"


def test_fp32_equals_the_cpu(model, gpu, upscale, picture):
    images = picture(90, 110)
    found, report = gpu(model, images, precision="fp32")
    expected, _ = upscale(model, images, precision="fp32")
    assert report.device.startswith("cuda")
    assert found.device.type == "cpu"
    assert float((found - expected).abs().max()) <= STEP


@pytest.mark.parametrize(("precision", "steps"), [("fp16", 3), ("bf16", 16), ("auto", 3)])
def test_short_formats_are_close_to_fp32(model, gpu, picture, precision, steps):
    images = picture(90, 110)
    exact, _ = gpu(model, images, precision="fp32")
    short, report = gpu(model, images, precision=precision)
    assert report.precision == ("fp16" if precision == "auto" else precision)
    assert report.redone_tiles == 0
    assert float((short - exact).abs().max()) <= steps * STEP


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tiled_equals_untiled(model, gpu, picture, precision):
    images = picture(150, 170)
    whole, one = gpu(model, images, precision=precision)
    tiled, several = gpu(model, images, precision=precision, tile_size=64)
    assert (one.tiles, several.tiles > 4) == (1, True)
    assert float((tiled - whole).abs().max()) <= 2 * STEP


def test_replicas_are_channels_last(model, gpu, picture):
    gpu(model, picture(20, 20), precision="fp16")
    module = model.replica(torch.device("cuda"), torch.float16).module
    wide = [p for p in module.parameters() if p.dim() == 4 and min(p.shape) > 1]
    assert wide
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)
    assert {p.device.type for p in wide} == {"cuda"}


@pytest.mark.parametrize("size", [(150, 40), (1, 1), (300, 200)])
def test_resize_stays_on_the_gpu_and_equals_main_memory(picture, size):
    pixels = picture(90, 110, 4)[0]
    found = resize(pixels.cuda(), *size)
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), resize(pixels, *size), atol=2e-6, rtol=0)


def test_cost_of_a_pixel_is_measured(model, gpu, picture):
    gpu(model, picture(20, 20), precision="fp16")
    setting = RunSetup(model, Memory("cuda"), torch.device("cuda"), torch.float16, tile_side=64)
    # At least the output in half precision, at most what a wide network can hold.
    assert model.scale**2 * 3 * 2 <= bytes_per_pixel(setting) < 1e6


def test_running_out_of_memory_shrinks_the_tiles(network, gpu, picture, scarce):
    model = network(blocks=2, width=64)
    images = picture(600, 600)
    expected, _ = gpu(model, images, precision="fp32")
    model = network(blocks=2, width=64)
    scarce(torch.cuda.memory_allocated() + (400 << 20))
    found, report = gpu(model, images, precision="fp32", tile_size=600)
    assert 32 <= report.shrunk_to < 600
    assert float((found - expected).abs().max()) <= STEP


def test_no_memory_at_all_is_a_clear_error(network, gpu, picture, scarce):
    scarce(1 << 20)
    with pytest.raises(OutOfMemoryError):
        gpu(network(blocks=2, width=64), picture(64, 64))


def test_images_on_the_gpu_are_taken(model, gpu, picture):
    images = picture(40, 50)
    from_gpu, _ = gpu(model, images.cuda(), precision="fp32")
    from_cpu, _ = gpu(model, images, precision="fp32")
    torch.testing.assert_close(from_gpu, from_cpu, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pairs", [True, False])
@pytest.mark.parametrize("size", [(57, 91), (40, 64), (1, 1)])
def test_kernels_of_our_own_are_used_and_as_exact_as_cudnn(
    network, gpu, picture, monkeypatch, size, pairs
):
    pytest.importorskip("triton")
    monkeypatch.setattr(kernel_esrgan, "_reads_slowly", lambda device: pairs)
    model = network(blocks=3, width=64)
    pixels = picture(*size).movedim(-1, 1).cuda().half()
    gpu(model, picture(20, 20), precision="fp16")
    inside = model.replica(torch.device("cuda"), torch.float16).module.model
    assert inside._works
    with torch.inference_mode():
        found, expected = inside(pixels).float(), inside.lean(pixels).float()
    assert float((found - expected).abs().max()) <= 3 * STEP
