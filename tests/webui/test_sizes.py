"""What the local entries return: the host's sizes, any mode, one run of the model."""

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from tests.webui.started import (
    BOTH,
    MODEL,
    MODES,
    array,
    differs,
    lanczos,
    part,
    photo,
    rounded,
)
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import codecs, sizes
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.monitor import Monitor
from upscale_bridge.vendors import NovitaUpscaleV2


@pytest.fixture
def runs(webui, monkeypatch):
    """The operations that were run, with the size that was asked for, and the passes of each."""
    found, service = [], part("host").service()
    real = service.run

    def run(operation, images, monitor, **options):
        result = real(operation, images, monitor, **options)
        found.append((operation, options["size"], result.info["passes"]))
        return result

    monkeypatch.setattr(service, "run", run)
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 24),
    st.integers(1, 24),
    st.one_of(st.floats(0.05, 5), st.sampled_from((1, 2, 4, 1.5, 0.5, 0.25, 1.1, 3.3))),
)
def test_size_is_the_hosts_for_every_image_and_scale(webui, runs, width, height, scale):
    runs.clear()
    image = photo(width, height)
    found = webui.enlarge(MODEL, image, scale)
    assert found.size == rounded(image, scale)
    assert len(runs) == (scale >= 1), "one run for scales of 1 and more, none below"


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(0.01, 16))
def test_size_is_that_of_the_api_that_mirrors_the_webui(width, height, scale):
    image = Image.new("1", (width, height))
    assert sizes.on_grid(image.size, scale) == rounded(image, scale)
    if 1 <= scale <= 8:
        operation = NovitaUpscaleV2(upscaling_resize=scale)
        assert operation.target(width, height) == rounded(image, scale)


@BOTH
@pytest.mark.parametrize("scale", [1, 1.5, 2, 3.3, 4, 9.5, 16])
def test_size_is_that_of_the_hosts_own_models(webui, scale):
    image = photo(27, 22)
    assert webui.enlarge(MODEL, image, scale).size == webui.enlarge("Lanczos", image, scale).size


@pytest.mark.parametrize("scale", [17, 40.5])
def test_scale_beyond_the_engines_is_reached(webui, scale):
    assert webui.enlarge(MODEL, photo(9, 5), scale).size == rounded(photo(9, 5), scale)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_image_of_any_mode_is_enlarged(webui, runs, mode, scale):
    image = photo(24, 16, mode)
    before = image.copy()
    found = webui.enlarge(MODEL, image, scale)
    assert found.size == rounded(image, scale)
    assert len(runs) == (scale >= 1)
    assert image.tobytes() == before.tobytes(), "the image is the caller's"


@pytest.mark.parametrize(
    ("mode", "result"),
    [
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "RGB"),
        ("P with transparency", "RGBA"),
        ("CMYK", "RGB"),
    ],
)
def test_result_shows_what_the_image_shows(webui, mode, result):
    image = photo(32, 24, mode)
    found = webui.enlarge(MODEL, image, 2)
    assert found.mode == result
    expected = image.convert(result)
    shrunk = found.resize(image.size, Image.Resampling.BOX)
    if result in ("RGBA", "LA"):  # colours below full transparency are nobody's business
        expected = Image.alpha_composite(Image.new("RGBA", image.size), expected.convert("RGBA"))
        shrunk = Image.alpha_composite(Image.new("RGBA", image.size), shrunk.convert("RGBA"))
        expected, shrunk = expected.convert("RGBa"), shrunk.convert("RGBa")
    assert abs(array(shrunk) - array(expected)).mean() < 8


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (32768, 128), (65535, 255)])
def test_sixteen_bit_gray_keeps_its_brightness(webui, level, expected):
    deep = Image.new("I;16", (16, 16), level)
    found = webui.enlarge(MODEL, deep, 2).convert("L")
    assert array(found).mean() == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_and_enlarged(webui, mode):
    image = photo(32, 24, mode)
    ramp = Image.linear_gradient("L").resize(image.size)
    image.putalpha(ramp)
    found = webui.enlarge(MODEL, image, 2).getchannel("A")
    assert differs(found, ramp.resize(found.size, Image.Resampling.LANCZOS)) < 4
    assert found.getextrema()[0] < 20
    assert found.getextrema()[1] > 235


def test_flat_alpha_stays_flat(webui):
    image = photo(24, 16)
    image.putalpha(77)
    assert webui.enlarge(MODEL, image, 3).getchannel("A").getextrema() == (77, 77)


@BOTH
@pytest.mark.parametrize("scale", [1, 1.5, 2, 4])
def test_a_model_really_ran(webui, scale):
    image = photo(48, 40)
    assert differs(webui.enlarge(MODEL, image, scale), lanczos(image, scale)) > 0.2


@pytest.mark.parametrize("scale", [0.1, 0.5, 0.999])
def test_below_a_scale_of_one_it_is_the_hosts_lanczos(webui, runs, scale):
    image = photo(64, 48)
    found = webui.enlarge(MODEL, image, scale)
    assert runs == []
    assert ImageChops.difference(found, lanczos(image, scale)).getbbox() is None


@pytest.mark.parametrize("scale", [1, 1.37, 2, 3.3, 9.5])
def test_result_is_resampled_once(webui, scale):
    """It is exactly the engine's, whose tiles stream into the final size."""
    host, images = part("host"), part("images")
    image = photo(27, 22)
    found = webui.enlarge(MODEL, image, scale)
    service = host.service()
    operation = LocalUpscale(scale_factor=scale, tile_size=192)
    model = service.library.load("UpscaleBridge-x4", Monitor())
    pixels, _ = service.engine.upscale(
        model, images.to_tensor(image), operation, Monitor(), rounded(image, scale)
    )
    assert (array(found) == codecs.to_uint8(pixels[0])).all()


@BOTH
def test_hosts_own_loop_gives_the_same(webui, runs):
    """Should anything call the WebUI's `upscale` with our `do_upscale`."""
    image, entry = photo(27, 22), webui.entry(MODEL)
    for scale in (1, 1.5, 2, 9.5):
        runs.clear()
        looped = webui.upscaler.Upscaler.upscale(entry.scaler, image, scale, entry.data_path)
        assert len(runs) == 1
        assert differs(looped, webui.enlarge(MODEL, image, scale)) == 0


@pytest.mark.parametrize(("tile", "asked"), [(0, 4096), (192, 192), (256, 256), (None, 4096)])
def test_tile_size_is_the_hosts(webui, runs, tile, asked):
    webui.opts.data["ESRGAN_tile"] = tile
    if tile is None:
        del webui.opts.data["ESRGAN_tile"]
    webui.enlarge(MODEL, photo(24, 16), 2)
    assert runs[0][0].tile_size == asked


@BOTH
@pytest.mark.parametrize("names", [(MODEL, "Lanczos"), ("Lanczos", MODEL)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("scale", [0.5, 1, 1.7, 2])
def test_entries_can_be_blended_with_the_hosts(webui, names, mode, scale):
    chosen = dict(zip(("upscaler_1_name", "upscaler_2_name"), names, strict=True))
    image = photo(27, 22, mode)
    chosen |= {"upscale_by": scale, "upscaler_2_visibility": 0.5}
    (done,) = webui.extras(image, upscale=chosen)
    assert done.image.size == rounded(image, scale)


def test_api_uses_an_entry_by_its_name(webui):
    (done,) = webui.extras_api(photo(27, 22), upscaler_1_name=MODEL, upscale_by=2)
    assert done.image.size == (48, 40)
    assert differs(done.image, lanczos(photo(27, 22), 2)) > 0.2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pixels_come_back_as_they_went(webui, mode):
    image = photo(40, 30, mode)
    pixels = part("images").to_tensor(image)
    assert pixels.shape == (1, 30, 40, len(mode))
    assert pixels.max() <= 1
    assert pixels.numpy() * 255 == pytest.approx(array(image).reshape(1, 30, 40, -1), abs=1e-3)
    assert differs(part("images").to_image(pixels[0]), image) == 0


@pytest.mark.parametrize("image", [None, array(photo(4, 3)), [photo(4, 3)], "photo.png"])
def test_what_is_no_picture_is_refused_in_a_sentence(webui, image):
    with pytest.raises(InvalidInputError, match="image must be a Pillow image; got "):
        part("images").to_tensor(image)


def test_image_that_turns_out_damaged_is_refused_in_a_sentence(webui):
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "png")
    image = Image.open(io.BytesIO(buffer.getvalue()[:-400]))
    with pytest.raises(InvalidInputError, match="damaged or of a kind that cannot be read"):
        part("images").to_tensor(image)
