"""States of torch that a caller has set for its own work must neither reach ours nor be changed."""

import contextlib
import itertools
import threading

import pytest
import torch
from torch.overrides import TorchFunctionMode

from tests.local.conftest import network, picture, recorder, state
from upscale_bridge import LocalUpscale, Service
from upscale_bridge.errors import InvalidInputError, StoppedError
from upscale_bridge.local import torch_state
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.loader import load_model
from upscale_bridge.monitor import Monitor

__all__ = ["network", "picture", "recorder", "state"]

SHIPPED = SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors"


class Halves(TorchFunctionMode):
    """A caller's function mode that changes what every call gives."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        floats = isinstance(found, torch.Tensor) and found.is_floating_point()
        return found * 0.5 if floats and func is not torch.Tensor.mul else found


@contextlib.contextmanager
def setting(read, write, value):
    """Set something of the whole process for a while."""
    before = read()
    write(value)
    try:
        yield
    finally:
        write(before)


def default_dtype(dtype):
    return lambda: setting(torch.get_default_dtype, torch.set_default_dtype, dtype)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def everything():
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.inference_mode(),
        default_dtype(torch.float64)(),
        torch.device("meta"),
        Halves(),
    ):
        yield


def deterministic():
    """What `use_deterministic_algorithms` sets, which imports PyTorch's compiler before, in 4 s."""
    return setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode, "error")


def coarse_products():
    return setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium")


@contextlib.contextmanager
def coarse(*settings):
    """Set the precision of some kinds of products by the way that came with torch 2.9."""
    with contextlib.ExitStack() as stack:
        for one in settings:
            stack.callback(setattr, one, "fp32_precision", one.fp32_precision)
            one.fp32_precision = "bf16"
        yield


def coarse_on_the_cpu():
    return coarse(torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)


STATES = {
    "autocast to bf16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast to fp16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "gradients": torch.enable_grad,
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "double by default": default_dtype(torch.float64),
    "half by default": default_dtype(torch.float16),
    "bf16 by default": default_dtype(torch.bfloat16),
    "meta by default": lambda: default_device("meta"),
    "within meta": lambda: torch.device("meta"),
    "a function mode": Halves,
    "deterministic": deterministic,
    "coarse products": coarse_products,
    "coarse on the CPU": coarse_on_the_cpu,
    "everything": everything,
}
TILED = LocalUpscale(scale_factor=2, tile_size=32)
SMALLER = LocalUpscale(scale_factor=0.5)
OPERATIONS = (
    TILED,
    SMALLER,
    LocalUpscale(scale_factor=4, alpha="lanczos"),
    LocalUpscale(scale_factor=5),  # in two passes
)


@pytest.fixture(params=STATES)
def callers_state(request):
    return STATES[request.param]


def images(height=9, width=8):
    """Return a partly hidden RGBA [1, height, width, 4]."""
    pixels = torch.rand(1, height, width, 4, generator=torch.Generator().manual_seed(3))
    pixels[:, :4, :4, 3] = 0
    return pixels


TILES, SMALL = images(36, 33), images()


def fresh():
    """Return a service that has loaded and measured nothing."""
    return Service(list, lambda: Memory("cpu"))


def results(service):
    """Return what all operations give."""
    found = [service.run(what, TILES if what is TILED else SMALL) for what in OPERATIONS]
    return [one.images for one in found]


@pytest.fixture(scope="module")
def expected():
    """The results of a caller that has set nothing."""
    return results(fresh())


def test_state_of_the_caller_changes_nothing(callers_state, expected):
    with callers_state():
        found = results(fresh())
    assert all(map(torch.equal, found, expected))


def test_model_that_met_another_state_first_computes_the_same(expected):
    service = fresh()
    with everything():
        results(service)
    assert all(map(torch.equal, results(service), expected))


def test_lean_network_is_made_and_run_alike(callers_state, network, picture):
    def upscale(model):
        engine = Engine(Memory("cpu"))
        return engine.upscale(model, pixels, LocalUpscale(scale_factor=3), Monitor())[0]

    pixels, plain = picture(12, 10), network(blocks=1, width=8)
    assert plain.replica(torch.device("cpu"), torch.float32).lean
    right = upscale(plain)
    model = network(blocks=1, width=8)
    with callers_state():
        found = upscale(model)
    assert model.replica(torch.device("cpu"), torch.float32).lean
    assert torch.equal(found, right)


@pytest.fixture(scope="module")
def service():
    """A service for all tests that do not load a model."""
    return fresh()


@pytest.mark.parametrize("operation", [TILED, SMALLER], ids=["model", "Lanczos"])
def test_result_belongs_to_the_caller(callers_state, service, operation):
    with callers_state():
        found = service.run(operation, SMALL).images
    assert type(found) is torch.Tensor
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")
    assert not found.is_inference()
    assert not found.requires_grad
    found.mul_(0.5)  # neither is possible with tensors of inference mode
    (found * torch.ones(4, requires_grad=True)).sum().backward()


def product_precisions():
    """Return how float32 is multiplied: for all devices, and by the CPU's library."""
    kinds = (torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)
    try:
        general = torch.get_float32_matmul_precision()
    except RuntimeError:  # the two ways to set it say different things
        general = None
    return general, *(kind.fp32_precision for kind in kinds)


def of_torch():
    """Return what a caller would see changed."""
    return (
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        product_precisions(),
        torch.get_num_threads(),
        torch._C._len_torch_function_stack(),
        torch.zeros(1).device,
    )


def test_state_of_the_caller_is_put_back(callers_state, service, recorder):
    with callers_state():
        before = of_torch()
        service.run(TILED, SMALL)
        assert of_torch() == before
        with pytest.raises(StoppedError):
            service.run(TILED, TILES, recorder(stop_after=1))
        assert of_torch() == before
        with pytest.raises(InvalidInputError):
            service.run(TILED, None)
        assert of_torch() == before


@pytest.fixture
def gains(request, monkeypatch):
    """Let oneDNN be quicker and as exact, or not."""
    monkeypatch.setattr(torch_state, "_onednn_gains", lambda: request.param)
    return request.param


@pytest.mark.parametrize("gains", [False, True], indirect=True)
@pytest.mark.parametrize("state", [contextlib.nullcontext, coarse_products, coarse_on_the_cpu])
def test_products_are_whole_while_the_work_lasts(state, gains):
    """Of which only a processor with units for 16 bits shows a difference."""
    seen = []

    class Looks(Monitor):
        def check(self):
            seen.append(product_precisions())

    with state():
        before = product_precisions()
        fresh().run(TILED, SMALL, Looks())
        assert product_precisions() == before
    whole = {("highest", *kinds) for kinds in itertools.product(("ieee", "none"), repeat=2)}
    lent = {(None, "bf16", kind) for kind in ("ieee", "none")}
    assert seen
    assert set(seen) <= (lent if gains else whole)


def test_products_of_tiles_stay_as_they_were(network, picture, monkeypatch):
    """Their shapes are those of any network: nobody has tried them."""
    monkeypatch.setattr(torch_state, "_onednn_gains", lambda: True)
    model, seen = network(blocks=1, width=8), []
    monkeypatch.setattr(model.replica(torch.device("cpu"), torch.float32), "rolled", None)

    class Looks(Monitor):
        def check(self):
            seen.append(product_precisions()[0])

    Engine(Memory("cpu")).upscale(model, picture(12, 10), LocalUpscale(scale_factor=3), Looks())
    assert set(seen) == {"highest"}


@pytest.mark.parametrize(
    ("error", "seconds", "gains"),
    [(3e-6, 0.5, True), (3e-6, 0.9, False), (1e-2, 0.2, False), (float("nan"), 0.2, False)],
    ids=["exact and quick", "no quicker", "in 16 bits", "no numbers"],
)
def test_onednn_multiplies_where_it_is_quicker_and_loses_nothing(
    error, seconds, gains, monkeypatch
):
    def tried(precision, *_shape):
        return (error, seconds) if precision == "bf16" else (3e-6, 1.0)

    monkeypatch.setattr(torch_state, "_tried", tried)
    assert torch_state._onednn_gains.__wrapped__() == gains


def test_error_of_whole_products_is_that_of_float32():
    before = product_precisions()
    error, seconds = torch_state._tried("ieee", 4, 16, 64, 8)
    assert 0 < error < 1e-5
    assert seconds > 0
    assert product_precisions() == before


def test_torch_before_2_9_multiplies_as_it_always_did(monkeypatch):
    monkeypatch.setattr(torch_state, "_of_onednn", lambda kind: None)
    monkeypatch.setattr(torch_state, "_onednn_gains", torch_state._onednn_gains.__wrapped__)
    before = product_precisions()
    with torch_state.usual_numbers(), torch_state.quick_products():
        assert product_precisions() == before


def test_random_numbers_of_the_caller_go_on():
    torch.manual_seed(7)
    right = torch.rand(3)
    torch.manual_seed(7)
    load_model(SHIPPED)
    assert torch.equal(torch.rand(3), right)


def test_default_dtype_is_put_back_when_the_last_of_several_ends():
    entered, go_on = threading.Event(), threading.Event()

    class Waits(Monitor):
        def check(self):
            entered.set()
            assert go_on.wait(30)

    def first():
        fresh().run(SMALLER, SMALL, Waits())

    with default_dtype(torch.float64)():
        thread = threading.Thread(target=first)
        thread.start()
        assert entered.wait(30)
        fresh().run(SMALLER, SMALL)
        go_on.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
