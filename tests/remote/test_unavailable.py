"""when_unavailable: the same on this machine, and when that must not happen."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from tests.fakes import faults
from tests.remote.kit import ALL, KINDS, Watch, configure, enlarged, picture
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    AuthError,
    MissingKeyError,
    ModelNotFoundError,
    ProviderError,
    StoppedError,
    TaskFailedError,
    UpscaleError,
)
from upscale_bridge.local.operation import LocalUpscale
from upscale_bridge.service import Service

MODELS = {
    "novita": ("RealESRGAN_x4plus_anime_6B", 2.0),
    "novita-resolution": ("UpscaleBridge-x4", 4096 / 24),
    "novita-v2": ("RealESRGAN_x4plus", 2.0),
    "photio": ("UpscaleBridge-x4", 2.0),
    "wavespeed": ("UpscaleBridge-x4", 4096 / 24),
}


class Asked(list):
    """Model, factor and images of each call, and the wanted sizes."""

    def __init__(self):
        self.sizes = []


@pytest.fixture
def local(monkeypatch):
    """What was asked of the local engine, which gives white images of twice the size."""
    run = Service.run
    asked = Asked()

    def stub(service, operation, images, monitor=None, **options):
        if not isinstance(operation, LocalUpscale):
            return run(service, operation, images, monitor, **options)
        asked.append((operation.model, operation.scale_factor, images))
        asked.sizes.append(options["size"])
        count, height, width, channels = images.shape
        pixels = torch.ones(count, 2 * height, 2 * width, channels)
        return SimpleNamespace(images=pixels, info={"model": operation.model}, summary="")

    monkeypatch.setattr(Service, "run", stub)
    # The factor of a preset is beyond what the local engine takes in one go.
    configure(concurrency=1)
    return asked


def missing_key(vendor, command, monkeypatch):
    name = KINDS[command].provider.name.upper()
    monkeypatch.delenv(f"{name}_API_KEY")
    monkeypatch.delenv(f"{name}_BASE_URL")


def no_balance(vendor, command, monkeypatch):
    vendor.fake.faults["submit"].append(faults.refused("balance"))


def no_network(vendor, command, monkeypatch):
    vendor.fake.__exit__(None)


def no_names(vendor, command, monkeypatch):
    """A server in the local network, known by name, while nobody answers for names."""

    def unknown(host):
        raise OSError("Temporary failure in name resolution")

    provider = KINDS[command].provider
    monkeypatch.setenv(provider.url_variable, "http://upscaler.lan:8190")
    vendor.host = vendor.another(look_up=unknown)


def no_names_and_no_key(vendor, command, monkeypatch):
    no_names(vendor, command, monkeypatch)
    monkeypatch.delenv(KINDS[command].provider.key_variable)


def retired(vendor, command, monkeypatch):
    kind = KINDS[command]
    monkeypatch.setattr(kind, "provider", replace(kind.provider, base_url=vendor.fake.base_url))
    vendor.fake.faults["submit"].append(faults.not_found())


CAUSES = (missing_key, no_balance, no_network, no_names, no_names_and_no_key, retired)
NAMES = ("MissingKeyError", "QuotaError", *3 * ["TransportError"], "RetiredError")
ENDED = ("novita", "novita-resolution")  # nobody gives keys for them any more
CASES = [
    pytest.param(
        command,
        cause,
        "RetiredError" if cause is missing_key and command in ENDED else name,
        id=f"{command}-{cause.__name__}",
    )
    for command in ALL
    for cause, name in zip(CAUSES, NAMES, strict=True)
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


@pytest.mark.parametrize("command", ALL)
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
    "changes",
    [
        {"gfpgan_visibility": 0.5},
        {"codeformer_visibility": 0.5},
        {"upscaler_2": "ESRGAN_4x", "extras_upscaler_2_visibility": 0.5},
        {"resize_mode": "to size"},
    ],
)
def test_what_this_machine_cannot_do(vendor, local, changes, monkeypatch):
    missing_key(vendor, "novita-v2", monkeypatch)
    with pytest.raises(MissingKeyError, match="cannot be run locally"):
        vendor.run("novita-v2", when_unavailable="run locally", **changes)
    assert local == []


def test_both_reasons_are_told_when_neither_works(vendor, monkeypatch):
    missing_key(vendor, "novita", monkeypatch)
    with pytest.raises(
        ModelNotFoundError, match=r"NOVITA_BASE_URL.*Running locally failed as well"
    ):
        vendor.run("novita", when_unavailable="run locally")


def test_a_stop_of_the_local_run_comes_through(vendor, monkeypatch):
    missing_key(vendor, "photio", monkeypatch)
    watch = Watch()
    watch.when = lambda: bool(watch.notices)
    with pytest.raises(StoppedError, match=r"^Stopped on request\.$"):
        vendor.run("photio", picture(), watch, when_unavailable="run locally")
