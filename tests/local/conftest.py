"""Small models and monitors for the local engine."""

import itertools

import pytest
import torch
from torch import nn

from upscale_bridge.errors import StoppedError
from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.loader import import_spandrel, load_model, wrap_descriptor
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor


class Stub(nn.Module):
    """A network that calls a function; copies of it call the same one."""

    def __init__(self, run):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 1))
        self.run = run

    def forward(self, pixels):
        return self.run(pixels)


class Recorder(Monitor):
    """Remembers what it was told; raises `StoppedError` once `stop_after` tiles are done."""

    def __init__(self, stop_after=None):
        self.steps = []
        self.previews = []
        self.lines = []
        self.notices = []
        self.stop_after = stop_after

    def check(self):
        if self.stop_after is not None and len(self.previews) >= self.stop_after:
            raise StoppedError

    def status(self, text):
        self.lines.append(text)

    def notice(self, text):
        self.notices.append(text)

    def progress(self, done, total):
        self.steps.append((done, total))

    def preview(self, tile):
        self.previews.append(tile)


@pytest.fixture(scope="session")
def recorder():
    """The class of monitors that remember and can stop."""
    return Recorder


@pytest.fixture(scope="session")
def shipped():
    """The model that ships."""
    return load_model(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors")


@pytest.fixture(scope="session")
def descriptor():
    """Make a spandrel descriptor that calls a function [1, C, H, W] -> [1, C, H * s, W * s]."""
    spandrel = import_spandrel()
    from spandrel.architectures.Compact import CompactArch

    def make(run, *, scale=2, channels=3, outputs=None, purpose="SR", bfloat=True, tiling=None):
        module = Stub(run)
        return spandrel.ImageModelDescriptor(
            module,
            module.state_dict(),
            CompactArch(),
            purpose,
            [],
            supports_half=True,
            supports_bfloat16=bfloat,
            scale=scale,
            input_channels=channels,
            output_channels=outputs or channels,
            tiling=tiling or spandrel.ModelTiling.SUPPORTED,
        )

    return make


@pytest.fixture(scope="session")
def stub(descriptor):
    """Make a `Model` that calls a function; each has a name of its own."""
    numbers = itertools.count()
    return lambda run, **options: wrap_descriptor(
        descriptor(run, **options), f"stub-{next(numbers)}"
    )


@pytest.fixture(scope="session")
def state():
    """Make the weights of an ESRGAN (blocks > 0), a SPAN (norm or not) or a Compact network.

    Their output fills 0..1.
    """
    import_spandrel()
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.ESRGAN import ESRGAN
    from spandrel.architectures.SPAN import SPAN

    def make(*, channels=3, scale=4, blocks=0, width=16, gain=1.0, norm=None):
        torch.manual_seed(channels + 10 * scale)
        if norm is not None:
            shape = {"num_in_ch": channels, "num_out_ch": channels, "feature_channels": width}
            network = SPAN(**shape, upscale=scale, norm=norm).eval()
        elif blocks:
            network = ESRGAN(
                in_nc=channels, out_nc=channels, scale=scale, num_blocks=blocks, num_filters=width
            )
        else:
            network = Compact(
                num_in_ch=channels, num_out_ch=channels, num_feat=width, num_conv=2, upscale=scale
            )
        convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        with torch.inference_mode():
            for layer in convolutions:
                layer.weight.mul_(gain)
            output = network(torch.rand(1, channels, 32, 32))
            if blocks or norm is not None:
                factor = 0.15 / output.std()
                convolutions[-1].weight.mul_(factor)
                convolutions[-1].bias.sub_(output.mean()).mul_(factor).add_(0.5)
        return network.state_dict()

    return make


@pytest.fixture(scope="session")
def network(state):
    """Make a `Model` of random weights; same arguments as `state`."""
    loader = import_spandrel().ModelLoader("cpu")
    numbers = itertools.count()
    return lambda **shape: wrap_descriptor(
        loader.load_from_state_dict(dict(state(**shape))), f"network-{next(numbers)}"
    )


@pytest.fixture
def engine():
    return Engine(Memory("cpu"))


@pytest.fixture
def upscale(engine):
    """Upscale with settings; return images and report."""

    def run(model, images, monitor=None, **settings):
        return engine.upscale(model, images, LocalUpscale(**settings), monitor or Monitor())

    return run


@pytest.fixture(scope="session")
def picture():
    """Make [batch, height, width, channels] in 0..1 with blocks, gradients and grain."""

    def make(height, width, channels=3, batch=1, seed=0):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(batch, channels, height // 8 + 1, width // 8 + 1, generator=generator)
        smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
        blocks = nn.functional.interpolate(coarse, size=(height, width), mode="nearest")
        grain = torch.rand(batch, channels, height, width, generator=generator)
        return (0.4 * blocks + 0.4 * smooth + 0.2 * grain).permute(0, 2, 3, 1).contiguous()

    return make


def enlarge(pixels, scale=2):
    """What the plainest stub runs: nearest neighbour."""
    return pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


@pytest.fixture(scope="session")
def nearest():
    return enlarge


@pytest.fixture(scope="session")
def blurred():
    """A stub's function that sees 3 px around each pixel, then doubles."""

    def run(pixels):
        padded = nn.functional.pad(pixels.float(), (3, 3, 3, 3), mode="replicate")
        return enlarge(nn.functional.avg_pool2d(padded, 7, stride=1)).to(pixels.dtype)

    return run
