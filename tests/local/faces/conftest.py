"""A photo with a face, the detector, and models that do something known to faces."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import nn

from upscale_bridge.images import codecs
from upscale_bridge.images.resample import resize
from upscale_bridge.local.faces.detector import Detector
from upscale_bridge.local.faces.model import FaceModel

DATA = Path(__file__).parents[2] / "data" / "faces"


@pytest.fixture(scope="session")
def yunet():
    """The detector's file."""
    return DATA / "face_detection_yunet_2026may.onnx"


@pytest.fixture(scope="session")
def detector(yunet):
    return Detector(yunet.read_bytes())


@pytest.fixture(scope="session")
def photo():
    """Return the photo [height, width, 3], enlarged by a factor."""
    pixels = codecs.decode((DATA / "astronaut.jpg").read_bytes(), "astronaut").pixels

    def make(factor=1.0):
        return resize(pixels, round(512 * factor), round(512 * factor))

    return make


class Network(nn.Module):
    """Calls a function on [1, 3, 512, 512] in -1..1, and notes what else it is told."""

    def __init__(self, run):
        super().__init__()
        self.layer, self.run, self.told = nn.Identity(), run, []

    def forward(self, pixels, **told):
        self.told.append(told)
        return (self.run(self.layer(pixels)),)


@pytest.fixture(scope="session")
def face_model():
    """Make a model that restores faces by a function."""

    def make(run, architecture="GFPGAN", name="GFPGANv1.4", channels=3):
        descriptor = SimpleNamespace(
            architecture=SimpleNamespace(id=architecture),
            model=Network(run),
            input_channels=channels,
            output_channels=channels,
        )
        return FaceModel(name, descriptor)

    return make
