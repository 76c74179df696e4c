"""Seams and rounding with weights of GAN training, on photos; random ones hide both."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from upscale_bridge.local.devices import Memory
from upscale_bridge.local.engine import Engine
from upscale_bridge.local.loader import load_model
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor

ROOT = Path(__file__).parent.parent.parent
CPU = torch.device("cpu")
STEP = 1 / 255
PLACES = [(0, 0), (100, 40), (60, 150), (180, 120), (310, 170)]  # of a photo: left, top


@pytest.fixture(scope="session")
def weights():
    """The folder of the files; REAL_WEIGHTS names one that is there."""
    spec = importlib.util.spec_from_file_location("real_weights", ROOT / "dev" / "real_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.fetch(Path(os.environ.get("REAL_WEIGHTS", module.FOLDER)))
    except OSError as error:
        pytest.skip(f"needs the network once: {error}")


@pytest.fixture(scope="session")
def load(weights):
    models = {}

    def get(name):
        if name not in models:
            models[name] = load_model(weights / f"{name}.pth")
        return models[name]

    return get


def photo(left, top, width, height):
    with Image.open(ROOT / "docs" / "pictures" / "cat.png") as file:
        part = file.convert("RGB").crop((left, top, left + width, top + height))
    return torch.from_numpy(np.asarray(part).astype(np.float32) / 255)[None]


def whole(model, image):
    """What one call of spandrel's network gives."""
    with torch.inference_mode():
        pixels = image.permute(0, 3, 1, 2).contiguous()
        return model._master.model(pixels).clamp(0, 1).permute(0, 2, 3, 1)


class Full(Memory):
    def free_bytes(self, device):
        return 0


def off(model, image, memory, **settings):
    """Return the steps by which the engine is off, and its report."""
    operation = LocalUpscale(**settings)
    found, report = Engine(memory).upscale(model, image, operation, Monitor())
    return float((found - whole(model, image)).abs().max()) / STEP, report


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["realesr-animevideov3", "RealESRGAN_x4plus_anime_6B"])
def test_an_image_is_computed_as_if_in_one_call(load, name, place):
    steps, report = off(load(name), photo(*place, 48, 41), Memory("cpu"), tile_size=32)
    assert report.tiles == 1
    assert steps < 0.02


def test_the_large_network_is_exact_as_well(load):
    steps, report = off(load("RealESRGAN_x4plus"), photo(100, 40, 32, 28), Memory("cpu"))
    assert report.tiles == 1
    assert steps < 0.05


@pytest.mark.parametrize("name", ["realesr-animevideov3", "RealESRGAN_x4plus_anime_6B"])
def test_tiles_for_want_of_memory_show_no_seam(load, name):
    steps, report = off(load(name), photo(40, 60, 100, 40), Full("cpu"), tile_size=64)
    assert report.tiles > 4
    assert steps < 1
