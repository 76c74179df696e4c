"""What each vendor's operation makes of an image."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.fakes import faces
from tests.server.sockless import MODEL, image, opened, pixels
from upscale_bridge.contract.plan import Faces
from upscale_bridge.errors import InvalidInputError, StoppedError
from upscale_bridge.images import codecs
from upscale_bridge.images.resample import resize
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor
from upscale_bridge.server import processing
from upscale_bridge.vendors import (
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
)

ULTRA = "4x-UltraSharp"


def made(service, operation, data):
    picture = processing.carry_out(service, operation, data, Monitor())
    found = opened(picture.data)
    assert found.size == (picture.width, picture.height)
    return found


def local(service, data, factor, model=MODEL):
    """Return what the local engine makes of an image."""
    found = codecs.decode(data).pixels
    return service.run(LocalUpscale(model=model, scale_factor=factor), found[None]).images[0]


def extras(**fields):
    return NovitaUpscaleV2(**{"upscaler_1": MODEL, **fields})


def to_size(width, height, **fields):
    size = {"upscaling_resize_w": width, "upscaling_resize_h": height}
    return extras(resize_mode="to size", **size, **fields)


def array(found):
    return np.asarray(found).astype(int)


# --- factors


def test_pixels_are_those_of_the_local_engine(service):
    data = image(12, 8)
    found = made(service, NovitaUpscale(scale_factor=4, model_name=ULTRA), data)
    assert np.array_equal(array(found), codecs.to_uint8(local(service, data, 4)))


# --- presets


@pytest.mark.parametrize(("preset", "edge"), [("2k", 32), ("4k", 64), ("8k", 128)])
@pytest.mark.parametrize("kind", [WaveSpeedUpscale, NovitaUpscaleToResolution])
def test_preset_is_the_long_edge(service, small_presets, kind, preset, edge):
    name = "target_resolution" if kind is WaveSpeedUpscale else "resolution"
    operation = kind(**{name: preset})
    assert made(service, operation, image(12, 8)).size == (edge, round(edge * 8 / 12))
    assert made(service, operation, image(5, 10)).size == (edge // 2, edge)


def test_real_presets():
    sizes = [WaveSpeedUpscale(target_resolution=p).target(1000, 500) for p in ("2k", "4k", "8k")]
    assert sizes == [(2048, 1024), (4096, 2048), (8192, 4096)]


# --- v2, as docs of the WebUI's Extras tab have it


def test_v2_crop_has_the_black_border_of_the_webui(service):
    data = image(101, 60)
    found = array(made(service, to_size(203, 121), data))
    assert found.shape == (121, 203, 3)
    black = ~found.any(axis=2)
    assert np.flatnonzero(black.all(axis=0)).tolist() == [0, 201, 202]
    assert np.flatnonzero(black.all(axis=1)).tolist() == [120]
    whole = array(made(service, to_size(203, 121, upscaling_crop=False), data))
    assert np.array_equal(found[:120, 1:201], whole)


@pytest.mark.parametrize("wanted", [(20, 30), (31, 9), (48, 17), (16, 64), (33, 33)])
def test_v2_crop_pastes_where_pillow_does(service, wanted):
    data = image(12, 8)
    whole = made(service, to_size(*wanted, upscaling_crop=False), data)
    canvas = Image.new("RGB", wanted)
    left, top = wanted[0] // 2 - whole.width // 2, wanted[1] // 2 - whole.height // 2
    canvas.paste(whole, (left, top))
    assert np.array_equal(array(made(service, to_size(*wanted), data)), array(canvas))


@pytest.mark.parametrize("mode", ["RGBA", "L", "LA"])
def test_v2_crop_is_in_colour_and_loses_alpha(service, mode):
    found = made(service, to_size(20, 30), image(12, 8, mode))
    assert (found.mode, found.size) == ("RGB", (20, 30))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 2)])
def test_v2_enlarges_even_tiny_images_to_size(service, size):
    """The factor may be far beyond what a local operation takes."""
    operation = to_size(160, 136)
    processing.check(service, operation, *size)
    assert made(service, operation, image(*size)).size == (160, 136)


def test_v2_to_a_smaller_size_asks_no_model(service):
    """A factor below 1 is plain Lanczos in the WebUI."""
    data = image(80, 48)
    found = made(service, to_size(40, 24, upscaling_crop=False), data)
    right = codecs.to_uint8(resize(codecs.decode(data).pixels, 40, 24))
    assert np.abs(array(found) - right).max() <= 1


PILLOW = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}


def by_the_webui(data, name, factor):
    """Return what UpscalerLanczos and UpscalerNearest make, and Upscaler.upscale after them."""
    found = opened(data)
    wanted = tuple(max(int(side * factor) // 8 * 8, 8) for side in found.size)
    if factor >= 1:
        size = tuple(int(side * factor) for side in found.size)
        found = found.resize(size, PILLOW[name])
    return found if found.size == wanted else found.resize(wanted, Image.Resampling.LANCZOS)


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.99, 1.0, 1.3, 2.0, 3.7, 8.0])
@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_v2_knows_the_upscalers_that_are_no_models(service, name, factor, mode):
    data = image(61, 50, mode)
    operation = extras(upscaler_1=name, upscaling_resize=factor)
    assert processing.check(service, operation, 61, 50) == {}
    found, right = made(service, operation, data), by_the_webui(data, name, factor)
    assert (found.size, found.mode) == (right.size, right.mode)
    differs = np.abs(array(found) - array(right)) > 2
    # Where a centre lies on the edge of two pixels the rounding of Pillow's sums decides.
    assert differs.mean() < (0.03 if name == "Nearest" else 1e-9)


@pytest.mark.parametrize("names", [("Nearest", "Lanczos"), ("Lanczos", MODEL), (MODEL, "Nearest")])
def test_v2_blends_what_is_no_model(service, names):
    data, share = image(20, 16), 0.25
    second = {"upscaler_2": names[1], "extras_upscaler_2_visibility": share}
    both = array(made(service, extras(upscaler_1=names[0], **second), data))
    one, two = (array(made(service, extras(upscaler_1=name), data)) for name in names)
    assert np.abs(both - (one * (1 - share) + two * share)).max() <= 1


@pytest.mark.parametrize("name", ["R-ESRGAN 4x+", MODEL, "Lanczos"])
def test_v2_factor_below_1_needs_no_model(service, name):
    data = image(61, 50)
    operation = extras(upscaler_1=name, upscaling_resize=0.5)
    assert processing.check(service, operation, 61, 50) == {}
    found = made(service, operation, data)
    assert np.abs(array(found) - array(by_the_webui(data, "Lanczos", 0.5))).max() <= 2
    with pytest.raises(InvalidInputError, match="none of that name is known"):
        processing.check(service, extras(upscaler_1="nobody's", upscaling_resize=0.5), 61, 50)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_v2_blends_two_upscalers(service, monkeypatch, share):
    data, run = image(12, 8), service._run_locally

    def darker(operation, images, monitor, size):
        result = run(operation, images, monitor, size)
        if operation.model == ULTRA:
            result.images.mul_(0.5)
        return result

    monkeypatch.setattr(service, "_run_locally", darker)
    second = {"upscaler_2": ULTRA, "extras_upscaler_2_visibility": share}
    one = array(made(service, extras(), data))
    two = array(made(service, extras(upscaler_1=ULTRA), data))
    assert np.abs(one - two).max() > 20
    both = array(made(service, extras(**second), data))
    assert np.abs(both - (one * (1 - share) + two * share)).max() <= 1
    cropped = made(service, to_size(31, 21, **second), data)
    assert cropped.size == (31, 21)


@pytest.mark.parametrize("second", ["None", ""])
def test_v2_second_upscaler_none_is_none(service, second):
    operation = extras(upscaler_2=second, extras_upscaler_2_visibility=0.7)
    processing.check(service, operation, 12, 8)
    one, two = (made(service, op, image()) for op in (extras(), operation))
    assert np.array_equal(array(one), array(two))


def test_v2_second_upscaler_that_is_not_seen_need_not_exist(service):
    operation = extras(upscaler_2="unknown", extras_upscaler_2_visibility=0.0)
    processing.check(service, operation, 12, 8)
    assert made(service, operation, image()).size == (24, 16)


@pytest.mark.parametrize("more", [{}, {"upscaler_2": MODEL, "extras_upscaler_2_visibility": 1.0}])
def test_v2_first_upscaler_none_skips_the_whole_step(service, more):
    operation = to_size(40, 40, **more)
    operation = NovitaUpscaleV2(**{**operation.told(), "upscaler_1": "None"})
    processing.check(service, operation, 12, 8)
    assert np.array_equal(array(made(service, operation, image())), pixels())


@pytest.mark.parametrize("kind", ["crop", "cover"])
def test_v2_strip_that_would_fill_the_memory_is_refused(service, kind):
    operation = to_size(2048, 2048, upscaling_crop=kind == "crop")
    with pytest.raises(InvalidInputError, match="million"):
        processing.check(service, operation, 128, 600_000)


# --- channels and formats


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize(
    "operation",
    [NovitaUpscale(model_name=ULTRA), extras(), PhotioUpscale()],
    ids=lambda operation: operation.command,
)
def test_alpha_is_kept_in_png(service, operation, mode):
    found = made(service, operation, image(12, 8, mode))
    assert (found.format, found.mode, found.size) == ("PNG", mode, (24, 16))


@pytest.mark.parametrize(
    ("format", "mode", "kept"),
    [
        ("jpeg", "RGBA", "RGB"),
        ("jpeg", "LA", "L"),
        ("jpeg", "RGB", "RGB"),
        ("webp", "RGBA", "RGBA"),
    ],
)
def test_webp_keeps_alpha_and_jpeg_has_none(service, format, mode, kept):
    operation = NovitaUpscale(model_name=ULTRA, response_image_type=format)
    found = made(service, operation, image(12, 8, mode))
    assert (found.format, found.mode) == (format.upper(), kept)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("kind", [WaveSpeedUpscale, NovitaUpscaleToResolution])
def test_output_format_holds(service, small_presets, kind, format):
    assert made(service, kind(output_format=format), image()).format == format.upper()


# --- refusals and stops


def test_faces_are_restored(service, monkeypatch):
    operation = extras(gfpgan_visibility=0.1)
    plain = array(made(service, extras(), image(12, 8)))
    asked = faces.install(monkeypatch)
    assert processing.check(service, operation, 12, 8) == {MODEL: MODEL}
    assert abs(array(made(service, operation, image(12, 8))) - 0.75 * plain).max() <= 1
    assert asked == [Faces("GFPGANv1.4", 0.1)]


def test_faces_and_unknown_models_are_refused(service):
    for operation in (
        extras(gfpgan_visibility=0.1),
        extras(codeformer_visibility=1.0),
        extras(upscaler_1="unknown"),
        NovitaUpscale(model_name="RealESRNet_x4plus"),
    ):
        with pytest.raises(InvalidInputError):
            processing.check(service, operation, 8, 8)


def test_stop_is_heard(service):
    class Stop(Monitor):
        def check(self):
            raise StoppedError

    with pytest.raises(StoppedError):
        processing.carry_out(service, PhotioUpscale(), image(), Stop())


LOOK = """
import sys
from upscale_bridge.server import processing
from upscale_bridge.service import Service
from upscale_bridge.vendors import NovitaUpscaleV2

service = Service()
assert processing.missing_models(service)
processing.check(service, NovitaUpscaleV2(upscaler_1="UpscaleBridge-x4"), 20, 10)
assert "torch" not in sys.modules
"""


def test_who_only_checks_has_no_need_of_torch():
    """A listener, which would wait seconds for it and hold it in memory for nothing."""
    subprocess.run([sys.executable, "-c", LOOK], check=True)
