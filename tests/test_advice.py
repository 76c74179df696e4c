"""What can be said before a run."""

import shutil

import pytest

from tests.remote.kit import KINDS
from upscale_bridge import LocalUpscale
from upscale_bridge.advice import advise
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.remote.providers import PROVIDERS, NovitaUpscale, WaveSpeedUpscale
from upscale_bridge.service import Service

KEY = "sk-only-for-tests-0123456789"
LOCAL = {"when_unavailable": "run locally"}


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def service(models, monkeypatch):
    for provider in PROVIDERS:
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
    monkeypatch.setenv(operation.provider.key_variable, KEY)
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


def test_a_way_that_is_chosen_is_not_proposed(service):
    assert "when_unavailable" not in said(service, NovitaUpscale(**LOCAL))


def test_a_private_host_needs_no_key(service, monkeypatch):
    monkeypatch.setenv("WAVESPEED_BASE_URL", "http://127.0.0.1:8190")
    assert notes(service, WaveSpeedUpscale()) == [], "neither a key nor the vendor's price"


def test_what_is_done_here_in_place_of_the_service_is_told(service, models):
    operation = NovitaUpscale(model_name="4x-UltraSharp", **LOCAL)
    assert notes(service, operation) == [
        ("info", "", ""),
        ("warning", "download", "4x-UltraSharp"),
    ]
    put(models, "4x-UltraSharp")
    assert notes(service, operation) == [("info", "", ""), ("info", "", "")]
    faces = KINDS["novita-v2"](gfpgan_visibility=1.0, **LOCAL)
    assert ("warning", "", "") in notes(service, faces)


def test_an_image_beyond_the_limits_is_told(service, monkeypatch):
    monkeypatch.setenv("NOVITA_BASE_URL", "http://127.0.0.1:8190")
    assert notes(service, NovitaUpscale(), (2048, 100)) == []
    assert notes(service, NovitaUpscale(), (4096, 200)) == [("missing", "", "")]
    assert "2048 x 100 px" in said(service, NovitaUpscale(), (4096, 200))
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
    assert note.level == "info"
    assert str(note.text) == "$0.01 per image (WaveSpeed's list price of 2026)."
