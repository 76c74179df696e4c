"""The WebUI's Extras on this machine: its sizes, or exact ones, and its arithmetic of pixels.

Of pixels the WebUI's documented arithmetic is compared (do_upscale, LANCZOS to the size, blend,
paste in the middle), with our order of channels: it feeds its models BGR, and pads tiles in black.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from upscale_bridge import LocalExtras, LocalUpscale, Monitor, Service
from upscale_bridge.errors import ModelNotFoundError, StoppedError
from upscale_bridge.preflight import advise

GRID = {"rounding": "multiples of 8"}


def by(factor, **values):
    return LocalExtras(upscaling_resize=factor, **values)


def to(width, height, **values):
    size = {"upscaling_resize_w": width, "upscaling_resize_h": height}
    return LocalExtras(resize_mode="to size", **size, **values)


SIZES = [  # operation, image, as the WebUI has it, exact
    (by(2.0), (61, 50), (120, 96), (122, 100)),
    (by(3.7), (61, 50), (224, 184), (226, 185)),
    (by(1.0), (61, 50), (56, 48), (61, 50)),
    (by(8.0), (61, 50), (488, 400), (488, 400)),
    (by(8.0, max_side=300), (61, 50), (296, 240), (300, 246)),
    (by(8.0, max_side=300), (50, 61), (240, 296), (246, 300)),
    (by(2.0, max_side=300), (61, 50), (120, 96), (122, 100)),
    (to(203, 121), (101, 60), (203, 121), (203, 121)),
    (to(203, 121, upscaling_crop=False), (101, 60), (200, 120), (204, 121)),
    (to(64, 300), (101, 60), (64, 300), (64, 300)),
    (to(64, 300, upscaler_1="None"), (101, 60), (101, 60), (101, 60)),
]


@pytest.mark.parametrize(("operation", "image", "grid", "exact"), SIZES)
@pytest.mark.parametrize("upscaler", ["Lanczos", "Nearest"])
def test_sizes(operation, image, grid, exact, upscaler):
    values = {item.name: getattr(operation, item.name) for item in operation.params()}
    if operation.upscaler_1 != "None":
        values["upscaler_1"] = upscaler
    for rounding, size in (("multiples of 8", grid), ("exact", exact)):
        wanted = LocalExtras(**{**values, "rounding": rounding})
        assert wanted.target(*image) == size
        result = Service().run(wanted, torch.rand(1, image[1], image[0], 3))
        assert (result.images.shape[2], result.images.shape[1]) == size
        assert (result.info["input_size"], result.info["size"]) == (image, size)


def resized(pixels, size, way, *, exact):
    """Return [H, W, 3] in 0..255 as Pillow resizes it, with or without its rounding to bytes."""
    if not exact:
        return np.asarray(Image.fromarray(pixels.round().astype(np.uint8)).resize(size, way))
    parts = [Image.fromarray(part).resize(size, way) for part in np.moveaxis(pixels, 2, 0)]
    return np.stack([np.asarray(part) for part in parts], axis=2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("exact", "steps"), [(True, 0.01), (False, 2.5)])  # rounded five times
def test_pixels_are_those_of_the_webuis_arithmetic(share, exact, steps):
    # What overshoots between two passes is clipped by Pillow, not by us.
    pixels = (torch.rand(1, 60, 101, 3) * 0.4 + 0.3).mul(255).round()
    values = {"upscaler_2": "Nearest", "extras_upscaler_2_visibility": share, **GRID}
    operation = to(203, 124, upscaler_1="Lanczos", **values)
    lanczos, nearest = Image.Resampling.LANCZOS, Image.Resampling.NEAREST
    through = int(101 * 124 / 60), 124
    first, second = (
        resized(
            resized(pixels[0].numpy(), through, way, exact=exact), (208, 120), lanczos, exact=exact
        )
        for way in (lanczos, nearest)
    )
    expected = np.zeros((124, 203, 3))
    expected[2:122] = ((1 - share) * first + share * second)[:, 3:206]  # pasted in the middle
    found = Service().run(operation, pixels / 255).images[0].mul(255).numpy()
    assert abs(found - expected).max() <= steps
    assert not found[[0, 1, 122, 123]].any()


def test_models_are_blended_from_the_same_image():
    images = torch.rand(2, 9, 11, 4)
    values = {"upscaler_2": "Lanczos", "extras_upscaler_2_visibility": 0.25}
    result = Service().run(by(2.0, **values), images)
    one = Service().run(LocalUpscale(scale_factor=2.0), images).images
    other = Service().run(by(2.0, upscaler_1="Lanczos"), images).images
    assert torch.allclose(result.images, 0.75 * one + 0.25 * other, atol=1e-6)
    assert result.info["model"] == "UpscaleBridge-x4 and Lanczos"
    assert "11 x 9 -> 22 x 18 with UpscaleBridge-x4 and Lanczos" in result.summary


def test_images_without_an_upscaler_are_a_copy():
    images = torch.rand(2, 5, 7, 3)
    result = Service().run(LocalExtras(upscaler_1="None"), images)
    assert torch.equal(result.images, images)
    result.images.zero_()
    assert images.any()


class Watch(Monitor):
    """Notes progress, and stops at a share of it."""

    def __init__(self, stop=2.0):
        self.seen, self._stop = [0.0], stop

    def check(self):
        if self.seen[-1] >= self._stop:
            raise StoppedError

    def progress(self, done, total):
        self.seen.append(done / total)


def test_progress_is_that_of_both_and_each_can_be_stopped():
    models = {"upscaler_2": "UpscaleBridge-x4", "extras_upscaler_2_visibility": 0.5}
    watch = Watch()
    Service().run(by(2.0, **models), torch.rand(1, 9, 11, 3), watch)
    assert watch.seen == sorted(watch.seen)
    assert 0.5 in watch.seen
    assert watch.seen[-1] == 1.0
    for stop in (0.0, 0.5):
        with pytest.raises(StoppedError):
            Service().run(by(2.0, **models), torch.rand(1, 9, 11, 3), Watch(stop))


def test_missing_models_are_named_before_the_run_and_in_it():
    missing = by(2.0, upscaler_2="4x-UltraSharp", extras_upscaler_2_visibility=0.5)
    service = Service()
    found = advise(service, missing, (61, 50))
    assert found.size == (122, 100)
    assert [(note.level, note.name) for note in found.notes] == [("missing", "4x-UltraSharp")]
    with pytest.raises(ModelNotFoundError, match="4x-UltraSharp is not on this machine"):
        service.run(missing, torch.rand(1, 5, 6, 3))
    assert advise(service, by(2.0, upscaler_2="4x-UltraSharp"), (61, 50)).notes == ()


def test_names_of_the_webui_are_known():
    assert by(2.0, upscaler_1="R-ESRGAN 4x+").models() == ("RealESRGAN_x4plus",)
