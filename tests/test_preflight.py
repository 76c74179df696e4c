"""What can be said before a run."""

import json
import shutil
import sys

import pytest

from tests.remote.host import KINDS, configure
from upscale_bridge import LocalUpscale
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.preflight import advise
from upscale_bridge.service import Service
from upscale_bridge.vendors import VENDORS, NovitaUpscale, WaveSpeedUpscale, WaveSpeedUpscaleAny

KEY = "sk-only-for-tests-0123456789"
LOCAL = {"when_unavailable": "run locally"}


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def service(models, monkeypatch):
    for provider in VENDORS:
        monkeypatch.delenv(provider.key_variable, raising=False)
        monkeypatch.delenv(provider.url_variable, raising=False)
    return Service(folders=lambda: [models])


def put(models, name):
    shutil.copy(SHIPPED_FOLDER / "UpscaleBridge-x4.safetensors", models / f"{name}.safetensors")


def notes(service, operation, size=(640, 480)):
    return [(note.level, note.way, note.name) for note in advise(service, operation, size).notes]


def said(service, operation, size=(640, 480)):
    return " ".join(str(note.text) for note in advise(service, operation, size).notes)


def test_the_shipped_model_needs_nothing(service):
    found = advise(service, LocalUpscale(scale_factor=2.5), (101, 60))
    assert found.as_dict() == {"size": (252, 150), "notes": ()}
    assert advise(service, LocalUpscale(), None).size is None


@pytest.mark.parametrize(
    ("download", "level"), [(False, "missing"), (True, "info")], ids=["off", "on"]
)
def test_a_known_model_can_be_downloaded(service, download, level):
    operation = LocalUpscale(model="4x-UltraSharp", download=download)
    assert notes(service, operation) == [(level, "download", "4x-UltraSharp")]
    assert "non-commercial" in said(service, operation)


def test_a_model_that_nobody_knows_is_missing(service):
    operation = LocalUpscale(model="mine-alone")
    assert notes(service, operation) == [("missing", "", "")]
    assert "'mine-alone'" in said(service, operation)


def test_a_licence_is_told_with_a_model_that_is_here(service, models):
    put(models, "4x-UltraSharp")
    assert notes(service, LocalUpscale(model="4x-UltraSharp")) == [("info", "", "")]
    put(models, "RealESRGAN_x4plus")
    assert notes(service, LocalUpscale(model="RealESRGAN_x4plus")) == []


@pytest.mark.parametrize("command", ["photio", "wavespeed"])
def test_a_missing_key_is_told(service, monkeypatch, command):
    operation = KINDS[command]()
    assert ("missing", "key", command) in notes(service, operation)
    monkeypatch.setenv(operation.vendor.key_variable, KEY)
    assert "key" not in [way for _, way, _ in notes(service, operation)]
    assert KEY not in str(advise(service, operation, (640, 480)))


def test_the_end_of_a_service_is_told(service, monkeypatch):
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    assert notes(service, NovitaUpscale()) == [("missing", "", "")]
    assert "NOVITA_BASE_URL" in said(service, NovitaUpscale())
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:8190")
    assert notes(service, NovitaUpscale()) == []


def test_a_deprecated_service_may_still_be_there(service, monkeypatch):
    v2 = KINDS["novita-v2"]()
    assert notes(service, v2) == [("info", "", ""), ("missing", "key", "novita")]
    monkeypatch.setenv("NOVITA_API_KEY", KEY)
    assert notes(service, v2) == [("info", "", "")]


DOWNLOAD = {"when_unavailable": "run locally, download if needed"}
ANY = {"when_unavailable": "run locally with any model"}
FACES = {"gfpgan_visibility": 1.0}


@pytest.mark.parametrize(
    ("changes", "here", "way"),
    [
        ({}, True, "run locally"),
        ({}, False, "run locally, download if needed"),
        (LOCAL, True, ""),
        (LOCAL, False, "run locally, download if needed"),
        (DOWNLOAD, True, ""),
        (DOWNLOAD, False, ""),
        (ANY, True, ""),
        (ANY, False, ""),
    ],
)
def test_the_way_that_is_proposed_is_open_and_not_chosen(service, models, changes, here, way):
    if here:
        put(models, "RealESRGAN_x4plus_anime_6B")
    _, _, said_last = said(service, NovitaUpscale(**changes)).partition("when_unavailable to ")
    assert said_last.startswith(f"{way}.") if way else said_last == ""
    (level, *_), *_ = notes(service, NovitaUpscale(**changes))
    assert level == ("missing" if way else "info")


@pytest.mark.parametrize("changes", [{}, LOCAL, DOWNLOAD])
def test_an_unknown_model_leaves_any_other(service, changes):
    v2 = KINDS["novita-v2"](upscaler_1="nobody's", **changes)
    assert "set when_unavailable to run locally with any model." in said(service, v2)
    assert ("missing", "key", "novita") in notes(service, v2)


@pytest.mark.parametrize("changes", [{}, LOCAL])
def test_faces_leave_what_fetches_their_models(service, changes, monkeypatch):
    faces = KINDS["novita-v2"](**FACES, **changes)
    assert "set when_unavailable to run locally, download if needed." in said(service, faces)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "set when_unavailable" not in said(service, faces)


def test_a_download_in_place_of_the_service_is_told_with_its_licence(service):
    operation = NovitaUpscale(model_name="4x-UltraSharp", **DOWNLOAD)
    assert notes(service, operation)[1:] == [("info", "download", "4x-UltraSharp")]
    assert "4x-UltraSharp is downloaded and runs here: 67 MB" in said(service, operation)
    assert "non-commercial" in said(service, operation)


def test_the_model_that_takes_the_place_is_told(service, models):
    operation = NovitaUpscale(**ANY)
    sentence = "{} runs here in place of RealESRGAN_x4plus_anime_6B, which is not"
    assert sentence.format("UpscaleBridge-x4") in said(service, operation)
    put(models, "4x-AnimeSharp")
    assert sentence.format("4x-AnimeSharp") in said(service, operation)
    assert "no commercial use" in said(service, operation)
    put(models, "RealESRGAN_x4plus_anime_6B")
    assert said(service, operation).endswith("RealESRGAN_x4plus_anime_6B runs here.")


def test_the_size_is_that_of_the_machine_that_does_the_work(service, monkeypatch):
    """An image that is done here is not shrunk for a service."""
    operation = NovitaUpscale(when_too_large="fit", **ANY)
    assert advise(service, operation, (4096, 2048)).size == (8192, 4096)
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:8190")
    assert advise(service, operation, (4096, 2048)).size == (4096, 2048)


def test_a_private_host_needs_no_key(service, monkeypatch):
    monkeypatch.setenv("WAVESPEED_BASE_URL", "http://127.0.0.1:8190")
    assert notes(service, WaveSpeedUpscale()) == [], "neither a key nor the vendor's price"


def test_what_is_done_here_in_place_of_the_service_is_told(service, models):
    operation = NovitaUpscale(model_name="4x-UltraSharp", **LOCAL)
    assert notes(service, operation) == [
        ("missing", "", ""),
        ("warning", "download", "4x-UltraSharp"),
    ]
    put(models, "4x-UltraSharp")
    assert notes(service, operation) == [("info", "", ""), ("info", "", ""), ("info", "", "")]
    assert "no commercial use" in said(service, operation)
    faces = KINDS["novita-v2"](**FACES, **LOCAL)
    assert notes(service, faces)[-2:] == [
        ("warning", "download", "YuNet"),
        ("warning", "download", "GFPGANv1.4"),
    ]
    codeformer = KINDS["novita-v2"](codeformer_visibility=1.0, **LOCAL)
    assert "needs the package spandrel_extra_arches" in said(service, codeformer)


def test_an_image_beyond_the_limits_is_told(service, monkeypatch):
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:8190")
    assert notes(service, NovitaUpscale(), (2048, 100)) == []
    assert notes(service, NovitaUpscale(), (4096, 200)) == [("missing", "", "")]
    assert "2048 × 100 px" in said(service, NovitaUpscale(), (4096, 200))  # noqa: RUF001
    fitting = NovitaUpscale(when_too_large="fit")
    assert notes(service, fitting, (4096, 200)) == [("warning", "", "")]
    assert notes(service, NovitaUpscale(), None) == []


@pytest.mark.parametrize(
    ("command", "size", "changes", "wanted"),
    [
        ("novita-v2", (451, 300), {}, (896, 600)),
        ("novita-v2", (451, 300), {"result_size": "exact"}, (896, 600)),
        ("novita-v2", (3, 3), {}, (8, 8)),
        ("novita", (4096, 2048), {"when_too_large": "fit"}, (4096, 2048)),
        ("novita", (4096, 2048), {"when_too_large": "fit", "result_size": "exact"}, (8192, 4096)),
        ("wavespeed", (451, 300), {"image_url": "https://a.example/b.png"}, None),
        ("photio", (451, 300), {}, (902, 600)),
    ],
)
def test_the_size_is_the_one_that_comes(service, command, size, changes, wanted):
    assert advise(service, KINDS[command](**changes), size).size == wanted


def test_a_price_is_told(service, monkeypatch):
    monkeypatch.setenv("WAVESPEED_API_KEY", KEY)
    found = advise(service, WaveSpeedUpscale(target_resolution="2k"), (640, 480))
    assert found.size == (2048, 1536)
    (note,) = found.notes
    assert (note.level, note.way, note.topic) == ("info", "price", "price")
    assert str(note.text) == "$0.01 per image (WaveSpeed's list price of 2026)"
    monkeypatch.delenv("WAVESPEED_API_KEY")
    assert ("info", "", "") in notes(service, WaveSpeedUpscale()), "without a key nobody can ask"


def test_the_price_is_asked_for_where_the_settings_say_so(service, monkeypatch):
    monkeypatch.setenv("WAVESPEED_API_KEY", KEY)
    configure(show_prices=True)
    assert notes(service, WaveSpeedUpscale()) == [("info", "price now", "")]


def any_model(model="wavespeed-ai/image-upscaler", **options):
    return WaveSpeedUpscaleAny(model=model, options=json.dumps(options))


@pytest.mark.parametrize(
    ("operation", "level", "words"),
    [
        (any_model("acme/new"), "warning", "acme/new is not in the list of WaveSpeed's models"),
        (any_model("recraft-ai/recraft-crisp-upscale"), "info", "come with WaveSpeed's live cat"),
        (any_model(target_resolution="16k"), "missing", "must be one of 2k, 4k, 8k; got 16k."),
        (any_model(seed=3), "warning", "The model names no parameter seed; it is sent as it is."),
    ],
)
def test_options_are_looked_at_before_a_run(service, monkeypatch, operation, level, words):
    monkeypatch.setenv("WAVESPEED_BASE_URL", "http://127.0.0.1:8190")
    (note,) = advise(service, operation, (640, 480)).notes
    assert note.level == level
    assert words in str(note.text)


def test_a_size_that_nobody_promises_is_not_told(service):
    assert advise(service, any_model("wavespeed-ai/real-esrgan"), (64, 48)).size is None
    pro = any_model("clarity-ai/pro-upscaler", target_megapixels=12)
    assert advise(service, pro, (64, 48)).size is None
    assert advise(service, any_model(), (64, 48)).size == (4096, 3072)
