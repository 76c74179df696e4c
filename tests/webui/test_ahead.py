"""What the panel says before a run, and its two buttons."""

import pytest

from tests.vendors.wavespeed.catalogue import MODELS
from tests.webui import blocks
from tests.webui.started import BOTH, KEY, KINDS, SENDING, part
from upscale_bridge.local.operation import LocalUpscale

LOCAL = LocalUpscale.title


def walk(webui, kind):
    return [one for one in webui.scripts.scripts_postproc.page.walk() if isinstance(one, kind)]


def notes(webui):
    (found,) = walk(webui, blocks.HTML)
    return found.value


def button(webui, text):
    (found,) = [one for one in walk(webui, blocks.Button) if one.value == text]
    return found


def price(webui):
    return button(webui, "Ask for the price")


def choose(webui, title):
    webui.panel().controls["operation"].choose(title)


@BOTH
def test_missing_key_is_told_at_once(webui):
    choose(webui, KINDS["photio"].title)
    assert "There is no key for Photio. Settings / Upscale Bridge says how" in notes(webui)


@BOTH
def test_size_of_the_result_is_told_for_the_image_of_the_page(vendor, webui):
    vendor()
    blocks.image_size[:] = 61, 50
    webui.panel().controls["LocalUpscale_scale_factor"].choose(2.0)
    assert "Result: 122 x 100 px." in notes(webui)
    choose(webui, KINDS["novita"].title)
    webui.panel().controls["NovitaUpscale_scale_factor"].choose(3.0)
    assert "Result: 183 x 150 px." in notes(webui)


def test_another_image_is_told_about(webui):
    (image,) = [one for one in walk(webui, blocks.Field) if one.parent.parent is None][:1]
    assert "px" not in notes(webui)
    blocks.image_size[:] = 10, 20
    image.choose("an image")
    assert "Result: 40 x 80 px." in notes(webui)


def test_model_that_is_absent_comes_with_licence_and_size(webui):
    webui.panel().controls["LocalUpscale_model"].choose("RealESRGAN_x4plus")
    assert "Not on this machine yet: 67 MB from github.com, licence BSD-3-Clause." in notes(webui)
    assert "Tick Download" in notes(webui)
    webui.panel().controls["LocalUpscale_download"].choose(True)
    assert "It will be downloaded first: 67 MB" in notes(webui)
    assert "Tick Download" not in notes(webui)


def test_image_that_is_too_large_is_told(vendor, webui):
    vendor()
    choose(webui, KINDS["novita"].title)
    blocks.image_size[:] = 4000, 40
    webui.panel().controls["NovitaUpscale_scale_factor"].choose(3.0)
    assert "too large for this service (4000 × 40 px)" in notes(webui)  # noqa: RUF001


def test_wrong_value_is_told(webui):
    webui.panel().controls["LocalUpscale_scale_factor"].choose(99.0)
    assert "Scale factor&#x27; must be" in notes(webui)


@pytest.mark.parametrize("command", SENDING)
def test_nothing_is_asked_before_the_click(vendor, webui, command):
    service = vendor()
    blocks.image_size[:] = 24, 16
    choose(webui, KINDS[command].title)
    for name, one in webui.panel().controls.items():
        if name.startswith(KINDS[command].__name__):
            one.choose(one.value)
    assert service.fake.requests == []


def test_price_is_asked_for_by_the_button_alone(vendor, webui):
    service = vendor()
    service.fake.catalogue = MODELS
    choose(webui, KINDS["wavespeed"].title)
    price(webui).happen()
    assert "per image" in notes(webui)
    assert "are left" in notes(webui)
    assert service.submits() == 0
    assert len(service.fake.requests) == 2


def test_button_for_the_price_is_there_where_a_service_tells_one(webui):
    for title in (LOCAL, *(kind.title for kind in KINDS.values())):
        choose(webui, title)
        kind = part("operations").KINDS[title]
        assert price(webui).visible is (getattr(kind, "pricing", None) is not None)
    assert [kind.title for kind in KINDS.values() if kind.pricing] == [
        "WaveSpeed Upscale",
        "WaveSpeed Upscale Any",
    ]


def test_price_without_a_key_is_one_sentence(webui):
    choose(webui, KINDS["wavespeed"].title)
    price(webui).happen()
    assert notes(webui).count("There is no key for WaveSpeed") == 2
    assert "see Settings / Upscale Bridge" in notes(webui)


def test_setting_asks_for_prices_by_itself(vendor, webui):
    vendor().fake.catalogue = MODELS
    webui.opts.set("upscale_bridge_show_prices", True)
    choose(webui, KINDS["wavespeed"].title)
    assert "per image" in notes(webui)


def test_refresh_finds_new_models(webui, tmp_path):
    folder = tmp_path / "webui" / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    (folder / "mine.pth").touch()
    assert "mine" not in webui.panel().controls["LocalUpscale_model"].choices
    button(webui, "Refresh models").happen()
    assert "mine" in webui.panel().controls["LocalUpscale_model"].choices
    assert webui.entry("Bridge: mine")


def test_refresh_asks_for_the_catalogue_where_a_key_is_set(vendor, webui):
    button(webui, "Refresh models").happen()
    service = vendor()
    service.fake.catalogue = MODELS
    choose(webui, KINDS["wavespeed-any"].title)
    button(webui, "Refresh models").happen()
    assert service.fake.count("models") == len(service.fake.requests) == 1
    choices = webui.panel().controls["WaveSpeedUpscaleAny_model"].choices
    assert "nextgen/upscale-9000" in choices


def test_failure_to_refresh_is_told(vendor, webui, monkeypatch):
    vendor()
    choose(webui, KINDS["wavespeed-any"].title)
    monkeypatch.setenv("WAVESPEED_BASE_URL", "http://127.0.0.1:1")
    button(webui, "Refresh models").happen()
    assert "Cannot reach 127.0.0.1" in notes(webui)


def test_what_is_told_is_escaped_and_holds_no_key(vendor, webui):
    vendor()
    choose(webui, KINDS["wavespeed-any"].title)
    webui.panel().controls["WaveSpeedUpscaleAny_model"].choose("acme/<img src=x>")
    assert "<img" not in notes(webui)
    price(webui).happen()
    assert KEY not in notes(webui)
