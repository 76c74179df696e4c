"""Running out of memory, learning from it, and choosing sizes and formats."""

import math
from types import SimpleNamespace

import pytest
import torch

from upscale_bridge.errors import InvalidInputError, OutOfMemoryError
from upscale_bridge.local import devices
from upscale_bridge.local.devices import Memory, is_out_of_memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor

CPU = torch.device("cpu")
FAILURES = {
    "torch": torch.OutOfMemoryError("Allocation on device"),
    "cuda": RuntimeError("CUDA error: out of memory"),
    "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    "hip": RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
    "mps": RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    "xpu": RuntimeError("UR error: UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY"),
    "plan": RuntimeError("GET was unable to find an engine to execute this computation"),
    "linux": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
    "python": MemoryError(),
}


@pytest.fixture
def one_by_one(monkeypatch):
    """Run tiles one after the other, so that their order is known."""
    monkeypatch.setattr("upscale_bridge.local.passes.worker_count", lambda: 1)


@pytest.fixture
def limited(stub, blurred):
    """Make a model that fails for inputs above a number of pixels, and the list of its inputs."""

    def make(most, failure=FAILURES["torch"]):
        inputs = []

        def run(pixels):
            height, width = pixels.shape[2:]
            inputs.append((height, width))
            if ready and height * width > most:
                raise failure
            return blurred(pixels)

        ready, model = False, stub(run)
        model.sight()  # what it sees is measured on larger images than these tests allow
        ready = True
        inputs.clear()
        return model, inputs

    return make


def expected(blurred, images):
    return blurred(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@pytest.mark.parametrize(
    "error", [RuntimeError("size mismatch"), ValueError("out of memory"), KeyError("x")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_tiles_shrink_until_they_fit(limited, blurred, upscale, picture, failure):
    model, _ = limited(70 * 70, failure)
    images = picture(120, 150)
    result, report = upscale(model, images, scale_factor=2)
    torch.testing.assert_close(result, expected(blurred, images), atol=1e-5, rtol=0)
    assert 32 <= report.shrunk_to <= 70
    assert report.tiles >= 4


@pytest.mark.parametrize("tile_size", [0, 96, 128])
@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_shrunk_result_equals_the_result_with_enough_memory(
    limited, upscale, picture, tile_size, factor
):
    images = picture(100, 130)
    scarce, report = upscale(limited(60 * 60)[0], images, scale_factor=factor, tile_size=tile_size)
    ample, other = upscale(limited(10**9)[0], images, scale_factor=factor, tile_size=256)
    torch.testing.assert_close(scarce, ample, atol=1e-5, rtol=0)
    assert report.shrunk_to
    assert not other.shrunk_to


def test_tiles_below_twice_the_smallest_shrink_to_the_smallest(limited, upscale, picture):
    _, report = upscale(limited(50 * 50)[0], picture(120, 120), scale_factor=2, tile_size=60)
    assert report.shrunk_to == 32


def test_finished_tiles_are_not_computed_again(
    stub, blurred, upscale, picture, recorder, one_by_one
):
    computed = []
    ok_at_first = [math.inf]

    def run(pixels):
        height, width = pixels.shape[2:]
        ok_at_first[0] -= height * width > 70 * 70
        if height * width > 70 * 70 and ok_at_first[0] < 0:
            raise FAILURES["cuda"]
        computed.append((height, width))
        return blurred(pixels)

    images = picture(256, 256)
    monitor = recorder()
    model = stub(run)
    model.sight()
    computed.clear()
    ok_at_first[0] = 3
    result, report = upscale(model, images, monitor, scale_factor=2, tile_size=128)
    torch.testing.assert_close(result, expected(blurred, images), atol=1e-5, rtol=0)
    # Three of four tiles at 128 px, the fourth as 3 x 3 (64 px with a halo is too much) of 32.
    assert sum(height * width > 70 * 70 for height, width in computed) == 3
    assert len(computed) == report.tiles == len(monitor.previews)
    assert monitor.steps[-1][0] == pytest.approx(256 * 256)
    assert [done for done, _ in monitor.steps] == sorted(done for done, _ in monitor.steps)


def test_next_run_starts_at_the_learned_size(limited, upscale, picture):
    model, inputs = limited(70 * 70)
    images = picture(120, 150)
    first, report = upscale(model, images, scale_factor=2)
    inputs.clear()
    second, later = upscale(model, images, scale_factor=2)
    assert max(height * width for height, width in inputs) <= 70 * 70
    assert later.shrunk_to == 0
    assert report.shrunk_to
    torch.testing.assert_close(second, first, atol=1e-5, rtol=0)


def test_size_is_learned_even_when_the_run_is_stopped(limited, upscale, recorder, picture):
    model, inputs = limited(70 * 70)
    with pytest.raises(Exception, match="Stopped"):
        upscale(model, picture(120, 150), recorder(stop_after=1), scale_factor=2)
    inputs.clear()
    upscale(model, picture(120, 150), scale_factor=2)
    assert max(height * width for height, width in inputs) <= 70 * 70


def test_learned_size_does_not_hold_for_other_models(limited, upscale, picture):
    upscale(limited(70 * 70)[0], picture(120, 120), scale_factor=2)
    other, inputs = limited(10**9)
    upscale(other, picture(120, 120), scale_factor=2, tile_size=120)
    assert max(inputs)[0] > 70


@pytest.mark.parametrize("failure", ["torch", "cudnn"])
def test_smallest_tile_that_fails_is_a_clear_error(limited, upscale, picture, failure):
    model, _ = limited(100, FAILURES[failure])
    with pytest.raises(OutOfMemoryError, match=r"cpu is out of memory even at the smallest tile"):
        upscale(model, picture(120, 150), scale_factor=2)


def test_engine_is_usable_after_running_out(limited, stub, nearest, upscale, picture):
    with pytest.raises(OutOfMemoryError):
        upscale(limited(100)[0], picture(64, 64))
    result, _ = upscale(stub(nearest), picture(8, 8), scale_factor=2)
    assert result.shape == (1, 16, 16, 3)


def test_cache_is_emptied_before_another_try(limited, picture):
    emptied = []

    class Counting(Memory):
        def empty_cache(self, device):
            emptied.append(device)

    model, _ = limited(70 * 70)
    Engine(Counting("cpu")).upscale(
        model, picture(120, 120), LocalUpscale(scale_factor=2.0), Monitor()
    )
    assert emptied
    assert set(emptied) == {CPU}


def test_result_too_large_for_main_memory_is_a_clear_error(stub, nearest, upscale, monkeypatch):
    def refuse(*shape):
        raise MemoryError

    monkeypatch.setattr("upscale_bridge.local.engine.allocate", refuse)
    with pytest.raises(OutOfMemoryError, match=r"2 x 64 x 48 px, needs 0\.0 GiB of main memory"):
        upscale(stub(nearest), torch.zeros(2, 12, 16, 3), scale_factor=4)


def test_placing_the_model_may_run_out_of_memory(stub, nearest, picture):
    class Full(Memory):
        def place(self, module, device):
            raise FAILURES["torch"]

    with pytest.raises(OutOfMemoryError):
        Engine(Full("cpu")).upscale(stub(nearest), picture(8, 8), LocalUpscale(), Monitor())


def test_unknown_device_is_refused():
    for name in ("cuda:99", "nonsense", "vulkan:3"):
        with pytest.raises(InvalidInputError, match="use auto or cpu") as caught:
            Memory(name).device()
        assert caught.value.name == "device"


@pytest.mark.parametrize(
    ("precision", "half", "bfloat", "expected"),
    [
        ("auto", True, True, torch.float32),
        ("fp32", True, True, torch.float32),
        ("fp16", True, True, torch.float32),  # too slow on a CPU to be meant
        ("bf16", True, True, torch.bfloat16),
        ("bf16", True, False, torch.float32),
    ],
)
def test_number_format_on_the_cpu(precision, half, bfloat, expected):
    assert Memory("cpu").dtype(precision, CPU, half=half, bfloat=bfloat) is expected


@pytest.mark.parametrize("unit", [True, False])
def test_bf16_without_a_unit_for_it_is_warned_of(monkeypatch, caplog, unit):
    monkeypatch.setattr("upscale_bridge.local.devices._has_bf16_unit", lambda: unit)
    chosen = Memory("cpu").dtype("bf16", CPU, half=True, bfloat=True)
    assert chosen is torch.bfloat16
    assert ("has no unit for bf16" in caplog.text) == (not unit)


def test_short_format_is_close_to_fp32(network, upscale, picture):
    model, images = network(), picture(40, 40)
    exact, _ = upscale(model, images, precision="fp32")
    short, report = upscale(model, images, precision="bf16")
    assert report.precision == "bf16"
    assert 0 < float((exact - short).abs().max()) < 8 / 255


@pytest.mark.parametrize(
    ("cuda", "hip", "said"), [("13.0", None, "CUDA 13.0"), (None, "7.1", "ROCm 7.1")]
)
def test_devices_are_described(monkeypatch, cuda, hip, said):
    about = SimpleNamespace(name="H100", total_memory=85_000_000_000, major=9, minor=0)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    assert devices.backend() == said
    found = devices.described()
    assert list(found) == ["cuda:0", "cuda:1", "cpu"]
    assert found["cuda:1"] == "H100, 85 GB, compute capability 9.0"
    assert found["cpu"].startswith(f"{torch.get_num_threads()} threads")


def test_what_else_pytorch_computes_with_is_named(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    assert devices.backend() == "CPU only"
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    assert devices.backend() == "XPU"
    assert list(devices.described()) == ["xpu", "cpu"]
