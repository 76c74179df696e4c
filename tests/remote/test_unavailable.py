"""when_unavailable: the same on this machine, and when that must not happen."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.fakes import faces, faults
from tests.remote.host import ALL, EACH, ENDED, KINDS, Watch, configure, enlarged, picture
from upscale_bridge.contract.enlarging import SHIPPED_MODEL
from upscale_bridge.contract.plan import Faces
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    AuthError,
    DownloadError,
    EngineError,
    ModelNotFoundError,
    ProviderError,
    StoppedError,
    TaskFailedError,
    UpscaleError,
)
from upscale_bridge.local.library import SHIPPED_FOLDER
from upscale_bridge.local.loader import load_model
from upscale_bridge.service import Service
from upscale_bridge.storage.settings import home

MODELS = {
    command: (kind().models()[0] or SHIPPED_MODEL, kind().factor(24, 16))
    for command, kind in KINDS.items()
}
"""Which local model takes a service's place by default, and by how much it enlarges."""


class Asked(list):
    """Model, factor and images of each call, and the wanted sizes."""

    def __init__(self):
        self.sizes = []


def put(*names):
    """Lay the shipped model into the user's folder under the names of others."""
    folder = home() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(SHIPPED_FOLDER / f"{SHIPPED_MODEL}.safetensors", folder / f"{name}.safetensors")


@pytest.fixture
def local(monkeypatch):
    """What was asked of the local engine, which gives white images of twice the size."""
    asked = Asked()

    def stub(service, operation, images, monitor, size):
        asked.append((operation.model, operation.scale_factor, images))
        asked.sizes.append(size)
        count, height, width, channels = images.shape
        pixels = torch.ones(count, 2 * height, 2 * width, channels)
        return SimpleNamespace(images=pixels, info={"model": operation.model}, summary="")

    monkeypatch.setattr(Service, "_run_locally", stub)
    put("RealESRGAN_x4plus_anime_6B", "RealESRGAN_x4plus", "ESRGAN_4x")
    # The factor of a preset is beyond what the local engine takes in one go.
    configure(concurrency=1)
    return asked


def missing_key(vendor, command, monkeypatch):
    monkeypatch.delenv(KINDS[command].vendor.key_variable)
    monkeypatch.delenv(KINDS[command].vendor.url_variable)


def no_balance(vendor, command, monkeypatch):
    vendor.fake.faults["submit"].append(faults.refused("balance"))


def no_network(vendor, command, monkeypatch):
    vendor.fake.__exit__(None)


def no_names(vendor, command, monkeypatch):
    """A server in the local network, known by name, while nobody answers for names."""

    def unknown(host):
        raise OSError("Temporary failure in name resolution")

    provider = KINDS[command].vendor
    monkeypatch.setenv(provider.url_variable, "http://upscaler.lan:8190")
    vendor.host = vendor.another(look_up=unknown)


def no_names_and_no_key(vendor, command, monkeypatch):
    no_names(vendor, command, monkeypatch)
    monkeypatch.delenv(KINDS[command].vendor.key_variable)


def retired(vendor, command, monkeypatch):
    kind = KINDS[command]
    monkeypatch.setattr(kind, "vendor", replace(kind.vendor, base_url=vendor.fake.base_url))
    vendor.fake.faults["submit"].append(faults.not_found())


CAUSES = (missing_key, no_balance, no_network, no_names, no_names_and_no_key, retired)
NAMES = ("MissingKeyError", "QuotaError", *3 * ["TransportError"], "RetiredError")
CASES = [
    pytest.param(
        command,
        cause,
        "RetiredError" if cause is missing_key and command in ENDED else name,
        id=f"{command}-{cause.__name__}",
    )
    for command in ALL
    for cause, name in zip(CAUSES, NAMES, strict=True)
    if command in EACH or cause is missing_key
    if cause is not retired or KINDS[command].retirement
]


@pytest.mark.parametrize(("command", "cause", "name"), CASES)
def test_runs_here_when_asked_to(vendor, local, command, cause, name, monkeypatch):
    image = picture(size=(512, 384)) if MODELS[command][1] > 16 else picture()
    model, factor = MODELS[command][0], min(MODELS[command][1], 4096 / 512)
    cause(vendor, command, monkeypatch)
    watch = Watch()
    result = vendor.run(command, image, watch, when_unavailable="run locally")
    assert [asked[:2] for asked in local] == [(model, pytest.approx(factor))]
    assert torch.equal(local[0][2], image)
    assert torch.equal(result.images, torch.ones_like(result.images))
    assert result.info["local"]["because"].startswith(f"{name}: ")
    assert result.info["local"]["model"] == model
    assert model in result.summary
    assert any(model in notice for notice in watch.notices)
    assert result.info["tasks"] == []
    assert vendor.fake.tasks == []


def test_a_preset_is_reached_from_any_size(vendor, local, monkeypatch):
    missing_key(vendor, "novita-resolution", monkeypatch)
    image = picture(size=(40, 24))
    vendor.run("novita-resolution", image, resolution="2k", when_unavailable="run locally")
    assert [factor for _, factor, _ in local] == [16.0]
    assert local.sizes == [(2048, 1229)]


@pytest.mark.parametrize(("command", "cause", "name"), CASES)
def test_stops_with_an_error_otherwise(vendor, local, command, cause, name, monkeypatch):
    cause(vendor, command, monkeypatch)
    with pytest.raises(UpscaleError) as caught:
        vendor.run(command)
    assert type(caught.value).__name__ == name
    assert (local, vendor.fake.tasks) == ([], [])


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.reset_after_accept(), AmbiguousSubmitError),
        (faults.reset_before_accept(), AmbiguousSubmitError),
        (faults.answer(500), AmbiguousSubmitError),
        (faults.refused("key"), AuthError),
        (faults.refused("body"), ProviderError),
        (faults.not_found(), ProviderError),
        (faults.failed(), (TaskFailedError, AmbiguousSubmitError)),
        (faults.smaller(), ProviderError),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_never_when_the_service_may_have_it_or_says_no(vendor, local, command, fault, kind):
    vendor.fake.faults["submit"].append(fault)
    with pytest.raises(kind):
        vendor.run(command, when_unavailable="run locally")
    assert local == []


def test_only_what_failed_is_done_here(vendor, local):
    vendor.fake.faults["submit"].extend([faults.close_after(), faults.refused("balance")])
    images = picture(0, 1, 2)
    result = vendor.run("novita", images, when_unavailable="run locally")
    assert torch.equal(result.images[:1], enlarged("novita", images[:1]))
    assert torch.equal(result.images[1:], torch.ones(2, 32, 48, 3))
    assert torch.equal(local[0][2], images[1:])
    assert len(result.info["tasks"]) == len(vendor.fake.tasks) == 1


def test_a_batch_with_a_doubt_is_not_done_here(vendor, local):
    vendor.fake.faults["submit"].extend([faults.drop_answer(), faults.refused("balance")])
    with pytest.raises(UpscaleError):
        vendor.run("novita", picture(0, 1), when_unavailable="run locally")
    assert local == []


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (
            {"gfpgan_visibility": 0.5},
            ModelNotFoundError,
            "Fetch it by `upscale-bridge models download YuNet` .*, or set when_unavailable to "
            "'run locally, download if needed'",
        ),
        (
            {"codeformer_visibility": 0.5, "upscaler_1": "Lanczos"},
            EngineError,
            "CodeFormer needs the package spandrel_extra_arches",
        ),
    ],
)
def test_what_faces_need_is_told_before_the_work(vendor, local, changes, kind, words, monkeypatch):
    missing_key(vendor, "novita-v2", monkeypatch)
    with pytest.raises(kind, match=words):
        vendor.run("novita-v2", when_unavailable="run locally", **changes)
    assert local == []


def test_faces_are_restored_here(vendor, local, monkeypatch):
    asked = faces.install(monkeypatch)
    missing_key(vendor, "novita-v2", monkeypatch)
    shares = {"gfpgan_visibility": 0.5, "codeformer_visibility": 0.25, "codeformer_weight": 0.7}
    result = vendor.run("novita-v2", when_unavailable="run locally", **shares)
    assert asked == [Faces("GFPGANv1.4", 0.5), Faces("CodeFormer", 0.25, 0.7)]
    assert torch.allclose(result.images, torch.tensor(0.75**2))
    assert result.info["local"]["faces"]["left"] == ["face at 3, 4: it fails"]
    assert "1 of 2 faces restored by GFPGANv1.4 and CodeFormer, 1 left" in result.summary


TO_SIZE = {"resize_mode": "to size", "upscaling_resize_w": 200, "upscaling_resize_h": 160}


@pytest.mark.parametrize(
    ("changes", "model", "size"),
    [
        ({"upscaler_2": "ESRGAN_4x", "extras_upscaler_2_visibility": 0.5}, "x", (48, 32)),
        (TO_SIZE, "RealESRGAN_x4plus", (200, 160)),
        ({**TO_SIZE, "upscaling_crop": False}, "x", (240, 160)),
        ({"upscaler_1": "Lanczos"}, "Lanczos", (48, 32)),
        ({"upscaler_1": "Nearest", "upscaling_resize": 3}, "Nearest", (72, 48)),
        ({"upscaler_1": "None"}, "no upscaler", (24, 16)),
        ({"upscaling_resize": 0.5}, "Lanczos", (8, 8)),
        ({"upscaling_resize": 0.01, "upscaler_1": "Nearest"}, "Lanczos", (8, 8)),
    ],
)
def test_all_of_v2_but_faces_is_done_here(vendor, changes, model, size, monkeypatch):
    """Names of models that are not in `put` are not here: only those that are needed matter."""
    put("RealESRGAN_x4plus", "ESRGAN_4x")
    missing_key(vendor, "novita-v2", monkeypatch)
    result = vendor.run("novita-v2", when_unavailable="run locally", **changes)
    assert (result.images.shape[2], result.images.shape[1]) == size
    assert model in ("x", result.info["local"]["model"])
    if "upscaler_2" in changes:
        assert result.info["local"]["model"] == "RealESRGAN_x4plus and ESRGAN_4x"


_, RUN, DOWNLOAD, ANY = next(
    item.choices for item in KINDS["novita"].params() if item.name == "when_unavailable"
)
UNKNOWN = {"upscaler_1": "nobody's"}


def refused(vendor, command, when, kind=ModelNotFoundError, **changes):
    with pytest.raises(kind) as caught:
        vendor.run(command, when_unavailable=when, **changes)
    text = str(caught.value)
    # What is set does not help; a longer choice begins with the words of a shorter one.
    assert repr(when) not in text
    return text


@pytest.mark.parametrize("command", ["novita", "novita-v2"])
def test_a_missing_model_leaves_the_ways_that_are_open(vendor, command, monkeypatch):
    missing_key(vendor, command, monkeypatch)
    text = refused(vendor, command, RUN)
    assert re.search(r"NOVITA_\w+.*Running locally failed as well", text)
    model = MODELS[command][0]
    assert f"{model} is not on this machine. Fetch it by" in text
    assert f"`upscale-bridge models download {model}` ({model}: licence BSD-3-Clause; " in text
    assert f"set when_unavailable to {DOWNLOAD!r} or {ANY!r}." in text
    assert "Switch its download on" not in text
    assert "choose UpscaleBridge-x4" not in text


@pytest.mark.parametrize("when", ["run locally", "run locally, download if needed"])
def test_a_model_that_nobody_knows_cannot_be_downloaded(vendor, when, monkeypatch):
    missing_key(vendor, "novita-v2", monkeypatch)
    text = refused(vendor, "novita-v2", when, **UNKNOWN)
    assert str(home() / "models") in text
    assert text.endswith(f"or set when_unavailable to {ANY!r}.")
    assert "download" not in text.partition("failed as well")[2]


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """The addresses that were fetched; the shipped model lies behind all of them."""
    asked = []

    def fetch(url, target, monitor, *, size, sha256):
        asked.append((url, size, sha256))
        shutil.copy(SHIPPED_FOLDER / f"{SHIPPED_MODEL}.safetensors", target)

    monkeypatch.setattr("upscale_bridge.local.library.download", fetch)
    # What lies there is not of the format that the name of the known file tells.
    monkeypatch.setattr(
        "upscale_bridge.local.loader.load_model",
        lambda path: load_model(Path(shutil.copy(path, tmp_path / f"{path.stem}.safetensors"))),
    )
    return asked


def test_a_known_model_is_downloaded_when_that_was_chosen(vendor, downloads, monkeypatch):
    missing_key(vendor, "novita", monkeypatch)
    watch = Watch()
    for _ in range(2):
        result = vendor.run("novita", picture(0, 1), watch, when_unavailable=DOWNLOAD)
        assert result.images.shape == (2, 32, 48, 3)
        assert result.info["local"]["model"] == "RealESRGAN_x4plus_anime_6B"
    ((url, size, sha256),) = downloads
    assert (size, sha256[:8]) == (17938799, "f872d837")
    terms = next(index for index, text in enumerate(watch.notices) if url in text)
    assert "licence BSD-3-Clause; 18 MB" in watch.notices[terms]


def test_a_model_that_is_here_is_not_downloaded(vendor, local, downloads, monkeypatch):
    missing_key(vendor, "novita", monkeypatch)
    vendor.run("novita", when_unavailable=DOWNLOAD)
    assert (len(local), downloads) == (1, [])


def test_a_failed_download_leaves_another_model(vendor, monkeypatch):
    def fail(*_, **__):
        raise DownloadError("No connection. Fetch it by other means.")

    monkeypatch.setattr("upscale_bridge.local.library.download", fail)
    missing_key(vendor, "novita", monkeypatch)
    text = refused(vendor, "novita", DOWNLOAD, DownloadError)
    assert text.endswith(f"Fetch it by other means. Or set when_unavailable to {ANY!r}.")


@pytest.mark.parametrize(
    ("command", "changes", "here", "model"),
    [
        ("novita", {}, (), SHIPPED_MODEL),
        ("novita-v2", {}, (), SHIPPED_MODEL),
        ("novita-v2", UNKNOWN, (), SHIPPED_MODEL),
        ("novita", {}, ("RealESRGAN_x4plus_anime_6B",), "RealESRGAN_x4plus_anime_6B"),
        ("novita", {}, ("4x-UltraSharp", "4x-AnimeSharp"), "4x-AnimeSharp"),
        ("novita", {}, ("2x-AnimeSharpV4_RCAN", "4x-AnimeSharp"), "4x-AnimeSharp"),
        ("novita", {}, ("4x-UltraSharp", "my own"), SHIPPED_MODEL),
        ("novita-v2", {}, ("4x_NMKD-Siax_200k", "4x-AnimeSharp"), "4x_NMKD-Siax_200k"),
        ("photio", {}, ("4x-UltraSharp",), SHIPPED_MODEL),
    ],
)
def test_any_model_takes_the_place(vendor, command, changes, here, model, monkeypatch):
    put(*here)
    missing_key(vendor, command, monkeypatch)
    watch = Watch()
    result = vendor.run(command, picture(), watch, when_unavailable=ANY, **changes)
    assert result.images.shape == (1, 32, 48, 3)
    assert result.info["local"]["model"] == model
    assert f"{model} on this machine" in result.summary
    (notice,) = watch.notices
    assert f"running {model}" in notice
    wanted = changes.get("upscaler_1", MODELS[command][0])
    assert (f" in place of {wanted}" in notice) == (model != wanted)
    assert ("no commercial use" in notice) == (model == "4x-AnimeSharp")


def test_a_damaged_model_is_passed_over_for_another(vendor, monkeypatch):
    (home() / "models").mkdir(parents=True)
    (home() / "models" / "RealESRGAN_x4plus_anime_6B.safetensors").write_bytes(b"no model")
    put("4x-AnimeSharp")
    missing_key(vendor, "novita", monkeypatch)
    watch = Watch()
    result = vendor.run("novita", picture(), watch, when_unavailable=ANY)
    assert result.info["local"]["model"] == "4x-AnimeSharp"
    assert "RealESRGAN_x4plus_anime_6B" in watch.notices[0]
    with pytest.raises(UpscaleError, match="RealESRGAN_x4plus_anime_6B"):
        vendor.run("novita", when_unavailable=RUN)


@pytest.mark.parametrize(
    ("command", "changes", "here", "ways"),
    [
        ("photio", {}, (), [RUN]),
        ("novita", {}, ("RealESRGAN_x4plus_anime_6B",), [RUN]),
        ("novita", {}, (), [DOWNLOAD, ANY]),
        ("novita-v2", UNKNOWN, (), [ANY]),
        ("novita-v2", {"upscaler_1": "Lanczos"}, (), [RUN]),
        ("novita-v2", {"gfpgan_visibility": 1.0}, (), [DOWNLOAD]),
        ("novita-v2", {"codeformer_visibility": 1.0}, (), []),
    ],
)
def test_an_error_names_the_choices_that_would_work(
    vendor, command, changes, here, ways, monkeypatch
):
    put(*here)
    missing_key(vendor, command, monkeypatch)
    with pytest.raises(UpscaleError) as caught:
        vendor.run(command, **changes)
    _, _, said = str(caught.value).partition("when_unavailable to ")
    assert said == (" or ".join(map(repr, ways)) + "." if ways else "")


def test_a_doubt_names_no_other_way(vendor):
    vendor.fake.faults["submit"].append(faults.drop_answer())
    with pytest.raises(AmbiguousSubmitError) as caught:
        vendor.run("photio")
    assert "when_unavailable" not in str(caught.value)


def test_a_stop_of_the_local_run_comes_through(vendor, monkeypatch):
    missing_key(vendor, "photio", monkeypatch)
    watch = Watch()
    watch.when = lambda: bool(watch.notices)
    with pytest.raises(StoppedError, match=r"^Stopped on request\.$"):
        vendor.run("photio", picture(), watch, when_unavailable="run locally")
