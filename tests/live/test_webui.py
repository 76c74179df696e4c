"""The extension in a running WebUI (A1111, Forge, Forge Neo, reForge), through the WebUI's own API.

Start it with `--api` and this folder among its extensions, and set WEBUI_URL to its address. The
services are a stand-in in this process, so the WebUI must run on the same machine.
"""

import base64
import io
import os
import threading
import time

import numpy as np
import pytest
import requests
from PIL import Image

from tests.fakes import faults
from tests.fakes.service import FakeService
from upscale_bridge.vendors import OPERATIONS, VENDORS
from upscale_bridge_webui.names import PREFIX, SETTING_PREFIX

URL = os.environ.get("WEBUI_URL", "").rstrip("/")
SECONDS = 300
LOCAL = f"{PREFIX}UpscaleBridge-x4"
REMOTE = [PREFIX + kind.title for kind in OPERATIONS if kind.size_parameter]
NOVITA = f"{PREFIX}Novita Upscale"
ADDRESSES = [f"{SETTING_PREFIX}{provider.name}_base_url" for provider in VENDORS]
CACHE = "upscaling_max_images_in_cache"
WAYS = {
    "by": {"upscaling_resize": 2},
    "by-odd": {"upscaling_resize": 3.7},
    "by-1": {"upscaling_resize": 1},
    "by-less": {"upscaling_resize": 0.5},
    "to": {"resize_mode": 1, "upscaling_resize_w": 203, "upscaling_resize_h": 121},
    "to-crop": {"resize_mode": 1, "upscaling_resize_w": 203, "upscaling_resize_h": 121},
    "to-tall": {"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 300},
}
for _name, _way in WAYS.items():
    _way["upscaling_crop"] = _name.endswith("crop")
SIZES = {  # of a picture of 61 x 50
    "by": (120, 96),
    "by-odd": (224, 184),
    "by-1": (56, 48),
    "by-less": (24, 24),
    "to": (200, 160),
    "to-crop": (203, 121),
    "to-tall": (360, 296),
}

pytestmark = pytest.mark.skipif(not URL, reason="WEBUI_URL is not set")


@pytest.fixture(scope="module")
def options():
    """Set options of the WebUI; what they were is set again at the end."""
    before = {}

    def change(**values):
        for name in values.keys() - before.keys():
            before[name] = option(name)
        ask("options", values)

    yield change
    ask("options", before)


@pytest.fixture
def service(options):
    """The stand-in, which all services of the WebUI now are."""
    with FakeService() as service:
        options(**dict.fromkeys(ADDRESSES, service.base_url), **{CACHE: 0})
        yield service


def option(name):
    """Return an option as the API or, for those of extensions, the page has it."""
    known = requests.get(f"{URL}/sdapi/v1/options", timeout=SECONDS).json()
    if name in known:
        return known[name]
    page = requests.get(f"{URL}/config", timeout=SECONDS).json()
    drawn = (component["props"] for component in page["components"])
    return next(props["value"] for props in drawn if props.get("elem_id") == f"setting_{name}")


def post(path, body):
    return requests.post(f"{URL}/sdapi/v1/{path}", json=body, timeout=SECONDS)


def ask(path, body):
    answer = post(path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(width=61, height=50, mode="RGB"):
    """Return an image that no run before has seen."""
    corners = np.random.default_rng().integers(0, 256, (4, 4, len(mode)), dtype=np.uint8)
    bands = [Image.fromarray(corners[..., i]).resize((width, height)) for i in range(len(mode))]
    return Image.merge(mode, bands) if len(mode) > 1 else bands[0]


def large(side):
    """Return an image that takes a while; Forge searches all pixels of an RGB one for a text."""
    return picture(side, side, "RGBA")


def encoded(image):
    data = io.BytesIO()
    image.save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def has_lanczos():
    """Tell whether the WebUI has an upscaler of its own without weights; Forge Neo has none."""
    listed = requests.get(f"{URL}/sdapi/v1/upscalers", timeout=SECONDS).json()
    return "Lanczos" in [one["name"] for one in listed]


def decoded(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def request(name, image, **more):
    return {"image": encoded(image), "upscaler_1": name, "upscaling_resize": 2, **more}


def enlarged(name, image, **more):
    return decoded(ask("extra-single-image", request(name, image, **more))["image"])


def refused(name, image, **more):
    """Return status and text of an answer that must be an error."""
    answer = post("extra-single-image", request(name, image, **more))
    found = answer.json()
    assert answer.status_code >= 400, found
    told = [found.get(name) for name in ("detail", "errors", "message")]
    return answer.status_code, next(text for text in told if text)


class Run(threading.Thread):
    """One request that goes on while the test does something else."""

    def __init__(self, name, image, **more):
        super().__init__()
        self.body, self.answer = request(name, image, **more), None
        self.start()

    def run(self):
        self.answer = post("extra-single-image", self.body)
        self.ended = time.monotonic()


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def progress():
    return requests.get(f"{URL}/sdapi/v1/progress?skip_current_image=true", timeout=SECONDS).json()


def test_every_entry_is_listed_once():
    found = [item["name"] for item in requests.get(f"{URL}/sdapi/v1/upscalers", timeout=9).json()]
    assert len(found) == len({name.lower() for name in found})
    assert {LOCAL, *REMOTE} <= {*found}


@pytest.mark.parametrize("name", [LOCAL, *REMOTE])
@pytest.mark.parametrize("way", WAYS)
def test_sizes_are_those_of_the_webui(service, name, way):
    image = picture()
    expected = enlarged("Lanczos", image, **WAYS[way]).size if has_lanczos() else SIZES[way]
    assert enlarged(name, image, **WAYS[way]).size == expected
    assert len(service.tasks) == (name in REMOTE and way != "by-less")


@pytest.mark.parametrize("name", [LOCAL, *REMOTE])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_modes_are_kept(service, name, mode):
    image = picture(mode=mode)
    found = enlarged(name, image)
    assert found.mode == ("RGBA" if mode == "RGBA" else "RGB")
    if mode == "RGBA":
        alpha = image.getchannel("A").resize(found.size, Image.Resampling.LANCZOS)
        apart = np.asarray(found.getchannel("A"), float) - np.asarray(alpha, float)
        assert np.abs(apart).mean() < 4


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_an_image_is_submitted_once(service, name, scale):
    found = enlarged(name, picture(), upscaling_resize=scale)
    assert found.size == (61 * scale // 8 * 8, 50 * scale // 8 * 8)
    assert service.count("submit") == len(service.tasks) == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("first", "second"), [(LOCAL, "Lanczos"), ("Lanczos", NOVITA), (NOVITA, LOCAL)]
)
def test_two_upscalers_are_blended(service, first, second, mode):
    if "Lanczos" in (first, second) and not has_lanczos():
        pytest.skip("this WebUI has no Lanczos")
    image, half = picture(mode=mode), 0.5
    both = {"upscaler_2": second, "extras_upscaler_2_visibility": half}
    mixed = np.asarray(enlarged(first, image, **both).convert("RGB"), float)
    alone = [np.asarray(enlarged(name, image).convert("RGB"), float) for name in (first, second)]
    assert np.abs(mixed - (alone[0] + alone[1]) * half).max() <= 1
    # The second time the kept result is used.
    assert len(service.tasks) == (NOVITA in (first, second))


@pytest.mark.parametrize("name", [LOCAL, *REMOTE])
def test_a_batch_keeps_its_order(service, name):
    images = [picture(*size) for size in [(61, 50), (32, 80), (100, 24), (48, 48)]]
    listed = [{"data": encoded(image), "name": f"{i}.png"} for i, image in enumerate(images)]
    body = {"imageList": listed, "upscaler_1": name, "upscaling_resize": 2}
    found = [decoded(text) for text in ask("extra-batch-images", body)["images"]]
    assert [image.size for image in found] == [(120, 96), (64, 160), (200, 48), (96, 96)]
    for image, result in zip(images, found, strict=True):
        apart = np.asarray(image.resize(result.size), float) - np.asarray(result, float)
        assert np.abs(apart).mean() < 10
    assert service.count("submit") == len(service.tasks) == (4 if name in REMOTE else 0)


def test_a_batch_ends_at_the_image_that_fails_and_pays_no_image_twice(service):
    images = [picture() for _ in range(4)]
    listed = [{"data": encoded(image), "name": f"{i}.png"} for i, image in enumerate(images)]
    body = {"imageList": listed, "upscaler_1": NOVITA, "upscaling_resize": 2}
    service.faults["poll"].append(faults.failed("The model has failed."))
    assert post("extra-batch-images", body).status_code == 502
    assert len(ask("extra-batch-images", body)["images"]) == 4
    assert len(service.tasks) == 5


@pytest.mark.parametrize("action", ["interrupt", "skip"])
def test_a_slow_task_is_left_at_once_and_resumed(options, service, action):
    options(**{CACHE: 5})
    service.clock.seconds = 12
    image = picture()
    run = Run(NOVITA, image)
    wait_until(lambda: service.count("poll"))
    stopped = time.monotonic()
    post(action, {})
    run.join()
    assert run.ended - stopped < 1
    assert service.count("download") == 0
    service.clock.seconds = 0
    enlarged(NOVITA, image)
    assert service.count("submit") == len(service.tasks) == 1
    assert service.count("download") == 1  # and not what the WebUI kept of the first run


@pytest.mark.parametrize("action", ["interrupt", "skip"])
def test_a_long_run_on_this_machine_is_left_at_once(service, action):
    run = Run(LOCAL, large(1800), upscaling_resize=1)
    wait_until(lambda: progress()["state"]["sampling_step"] > 0)
    stopped = time.monotonic()
    post(action, {})
    wait_until(lambda: not progress()["state"]["job"])
    assert time.monotonic() - stopped < 2  # the WebUI's own Lanczos of a large image included
    run.join()


@pytest.mark.parametrize("name", [LOCAL, NOVITA])
def test_progress_moves(service, name):
    service.clock.seconds = 4
    run = Run(name, large(900) if name == LOCAL else picture(), upscaling_resize=1)
    seen = []
    while run.is_alive():
        found = progress()
        if found["state"]["job"]:
            seen.append((round(found["progress"], 3), found["textinfo"]))
        time.sleep(0.05)
    assert run.answer.status_code == 200
    assert len({step for step, _ in seen if 0.05 < step < 0.95}) >= 3, seen
    if name == NOVITA:
        assert any(text and text.startswith("running") for _, text in seen), seen


class TestErrors:
    def test_without_key(self, options, service):
        # Not the vendors' own addresses: this WebUI may have keys that pay.
        options(**dict.fromkeys(ADDRESSES, "https://vendor.invalid"))
        for name in REMOTE:
            status, text = refused(name, picture())
            if status == 502:
                pytest.skip("this WebUI has a key")
            assert status == 500
            assert text.startswith("There is no key for ")

    @pytest.mark.parametrize(
        ("fault", "status", "submits", "tasks"),
        [
            (faults.answer(402, {"error": "no balance"}), 502, 1, 0),
            (faults.answer(500, {"error": "sorry"}), 502, 1, 0),
            (faults.drop_answer(), 502, 1, 1),
            (faults.failed("The model has failed."), 502, 1, 1),
        ],
        ids=["402", "500", "no-answer", "failed"],
    )
    @pytest.mark.parametrize("name", REMOTE)
    def test_services_that_refuse(self, service, name, fault, status, submits, tasks):
        service.faults["submit"].append(fault)
        found, text = refused(name, picture())
        assert found == status, text
        assert len(text) > 30
        assert "Traceback" not in text
        assert (service.count("submit"), len(service.tasks)) == (submits, tasks), text

    def test_a_doubtful_payment_is_not_repeated(self, service):
        image = picture()
        service.faults["submit"].append(faults.drop_answer())
        first, second = (refused(NOVITA, image) for _ in range(2))
        assert first[0] == second[0] == 502
        assert service.count("submit") == 1

    def test_the_webui_works_after_an_error(self, service):
        service.faults["submit"].append(faults.answer(402, {"error": "no balance"}))
        refused(NOVITA, picture())
        assert enlarged(LOCAL, picture()).size == (120, 96)
