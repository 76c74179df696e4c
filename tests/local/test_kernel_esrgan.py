"""ESRGAN of one kernel a convolution: what goes where, with kernels that torch stands in for."""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from upscale_bridge.local import kernel_esrgan
from upscale_bridge.local.fused_esrgan import LeanESRGAN, slim
from upscale_bridge.local.kernel_esrgan import KernelESRGAN, with_kernels
from upscale_bridge.local.loader import import_spandrel


class TorchConvolution(nn.Module):
    """What `KernelConvolution` promises, on any device."""

    def __init__(self, weight, bias, *, pairs):
        super().__init__()
        self.weight, self.bias = weight, bias
        self.stored, self.inputs = weight.shape[:2]

    @staticmethod
    def fits(outputs, inputs):
        return True

    def forward(self, source, target, size, *, leaky=0, added=(), shares=()):
        height, width = size
        tall, wide = self.weight.shape[2:]
        assert source.stride(2) == target.stride(2) == 1
        seen = source[: height + tall - 1, : width + wide - 1, : self.inputs]
        found = F.conv2d(seen.permute(2, 0, 1)[None], self.weight, self.bias)[0].permute(1, 2, 0)
        for other, share in zip(added, shares, strict=True):
            found = found * share + other[:height, :width, : self.stored]
        found[..., :leaky] = F.leaky_relu(found[..., :leaky], 0.2)
        target[:height, :width, : self.stored] = found


@pytest.fixture
def kernels(monkeypatch):
    module = ModuleType("convolution_kernel")
    module.KernelConvolution = TorchConvolution
    monkeypatch.setitem(sys.modules, "upscale_bridge.local.convolution_kernel", module)
    return module


@pytest.fixture
def lean(state):
    """Make a lean ESRGAN; same arguments as `state`."""
    loader = import_spandrel().ModelLoader("cpu")

    def make(**shape):
        module = loader.load_from_state_dict(dict(state(blocks=2, **shape))).model.eval()
        assert slim(module.requires_grad_(False))
        return module

    return make


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("size", [(24, 21), (1, 1), (3, 40), (41, 6)])
def test_it_computes_what_the_lean_one_does(kernels, lean, monkeypatch, scale, size):
    monkeypatch.setattr(kernel_esrgan, "tail_pixels", lambda trunk: 100)  # several strips
    network = lean(scale=scale, gain=2.0).model
    pixels = torch.rand(1, 3, *size)
    with torch.inference_mode():
        found, expected = KernelESRGAN(network, pairs=False)._run(pixels), network(pixels)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_without_triton_the_network_stays_as_it_is(lean, monkeypatch):
    monkeypatch.setitem(sys.modules, "upscale_bridge.local.convolution_kernel", None)
    module = lean()
    with_kernels(module, torch.device("cpu"))
    assert isinstance(module.model, LeanESRGAN)


def test_layers_that_no_kernel_takes_leave_the_network_as_it_is(kernels, lean):
    kernels.KernelConvolution.fits = staticmethod(lambda outputs, inputs: outputs != 3)
    module = lean()
    with_kernels(module, torch.device("cpu"))
    assert isinstance(module.model, LeanESRGAN)
    kernels.KernelConvolution.fits = staticmethod(lambda outputs, inputs: True)


def test_off_the_gpu_the_lean_one_runs(kernels, lean):
    module = lean()
    expected = module.model
    with_kernels(module, torch.device("cpu"))
    assert isinstance(module.model, KernelESRGAN)
    pixels = torch.rand(1, 3, 12, 12)
    with torch.inference_mode():
        assert torch.equal(module.model(pixels), expected(pixels))


def broken(self, *args, **kwargs):
    raise RuntimeError("no C compiler was found")


def wrong(self, source, target, size, **kwargs):
    target.fill_(0.7)


@pytest.mark.parametrize(
    ("run", "said"), [(broken, "no C compiler was found"), (wrong, "are off by")]
)
def test_kernels_that_fail_or_are_wrong_are_not_used(kernels, lean, monkeypatch, caplog, run, said):
    network = KernelESRGAN(lean().model, pairs=False)
    monkeypatch.setattr(TorchConvolution, "forward", run)
    pixels = torch.rand(1, 3, 12, 12)
    with caplog.at_level("INFO"), torch.inference_mode():
        assert not network._try(pixels)
    assert said in caplog.text


def test_a_lack_of_memory_is_not_taken_for_broken_kernels(kernels, lean, monkeypatch):
    network = KernelESRGAN(lean().model, pairs=False)

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("Allocation on device")

    monkeypatch.setattr(TorchConvolution, "forward", full)
    with pytest.raises(torch.OutOfMemoryError), torch.inference_mode():
        network._try(torch.rand(1, 3, 12, 12))
