"""Each model of a service has an entry; the infotext says which one ran, and as which task."""

import re

import pytest

from tests.webui.started import MODEL, photo, title
from upscale_bridge.vendors import OPERATIONS

ENTRIES = {  # the name of an entry, and which model the service is asked for
    "Bridge: Novita Upscale": ("model_name", "RealESRGAN_x4plus_anime_6B"),
    "Bridge: Novita 4x-UltraSharp": ("model_name", "4x-UltraSharp"),
    "Bridge: Novita RealESRNet_x4plus": ("model_name", "RealESRNet_x4plus"),
    "Bridge: Novita Upscale V2": ("upscaler_1", "R-ESRGAN 4x+"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_asks_for_its_model(vendor, webui, name):
    service = vendor()
    assert webui.enlarge(name, photo(), 2, "extras").size == (48, 32)
    field, model = ENTRIES[name]
    assert service.told()[field] == model


def test_entry_of_a_model_with_slashes_asks_for_it(vendor, webui):
    service = vendor()
    webui.enlarge("Bridge: WaveSpeed seedvr2/image", photo(), 2, "extras")
    (task,) = service.fake.tasks
    assert task.operation == "/api/v3/wavespeed-ai/seedvr2/image"


def test_every_choice_of_a_model_has_an_entry(webui):
    paths = {one.data_path for one in webui.shared.sd_upscalers}
    for kind in OPERATIONS:
        for item in kind.params():
            if item.name == kind.model_parameter:
                for model in item.choices:
                    assert f"upscale-bridge/{kind.__name__}/{model}" in paths
    kinds = [kind.__name__ for kind in OPERATIONS if kind.model_parameter]
    assert kinds == ["NovitaUpscale", "WaveSpeedUpscale"]


# --- the infotext

NAME = "Bridge: Novita 4x-UltraSharp"
TOLD = (
    "Novita Upscale: model_name 4x-UltraSharp, scale_factor 2.0, response_image_type png, "
    "enable_nsfw_detection False, result_size as delivered"
)
RESULT = r"24 x 16 -> 48 x 32 by Novita Upscale \(\w+, task \S+\), \d+\.\d s"


@pytest.mark.parametrize("way", ["tab", "api"])
def test_infotext_names_model_and_task(vendor, webui, way):
    vendor()
    entry = {"upscaler_1_name": NAME, "upscale_by": 2}
    run = webui.extras_api if way == "api" else lambda one, **more: webui.extras(one, upscale=more)
    (done,) = run(photo(), **entry)
    assert set(done.info) == {"Upscale Bridge", "Upscale Bridge result"}
    assert done.info["Upscale Bridge"] == TOLD
    assert re.fullmatch(RESULT, done.info["Upscale Bridge result"])


def test_infotext_is_the_same_when_the_host_gives_back_what_it_kept(vendor, webui):
    vendor()
    entry = {"upscaler_1_name": NAME, "upscale_by": 2}
    first, second = (webui.extras(photo(), upscale=entry)[0].info for _ in range(2))
    assert first == second
    assert first["Upscale Bridge"] == TOLD


def test_infotext_names_both_upscalers(vendor, webui):
    vendor()
    entry = {"upscaler_1_name": MODEL, "upscaler_2_name": NAME, "upscale_by": 2}
    (done,) = webui.extras(photo(), upscale={**entry, "upscaler_2_visibility": 0.5})
    assert done.info["Upscale Bridge"].startswith("Local ESRGAN Upscale: model UpscaleBridge-x4")
    assert done.info["Upscale Bridge 2"] == TOLD


def test_infotext_of_one_image_says_nothing_of_another(vendor, webui):
    vendor()
    webui.enlarge(NAME, photo(), 2)  # in a generation
    entry = {"upscaler_1_name": title("photio"), "upscale_by": 2}
    done = webui.extras(photo(seed=1), photo(seed=2), upscale=entry)
    (other,) = webui.extras(photo(seed=3), upscale={"upscaler_1_name": "Lanczos", "upscale_by": 2})
    assert [one.info["Upscale Bridge"].split(":")[0] for one in done] == ["Photio Upscale"] * 2
    assert all(len(one.info) == 2 for one in done)
    assert other.info == {}


def test_infotext_says_nothing_where_lanczos_took_over(webui):
    (done,) = webui.extras(photo(), upscale={"upscaler_1_name": NAME, "upscale_by": 0.5})
    assert done.info == {}
