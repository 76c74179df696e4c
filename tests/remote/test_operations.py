"""What users have saved in workflows and scripts stays valid."""

import math

import pytest

from upscale_bridge.contract.operation import Limits
from upscale_bridge.contract.shared import SHARED
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.vendors import OPERATIONS
from upscale_bridge.vendors.novita.resolution import NovitaUpscaleToResolution
from upscale_bridge.vendors.novita.upscale import NovitaUpscale
from upscale_bridge.vendors.novita.v2 import NovitaUpscaleV2
from upscale_bridge.vendors.photio import PhotioUpscale
from upscale_bridge.vendors.wavespeed.upscale import WaveSpeedUpscale

EVERY = [(kind, item) for kind in OPERATIONS for item in kind.params()]


@pytest.mark.parametrize(("kind", "item"), EVERY)
def test_every_parameter_is_explained_in_sentences(kind, item):
    assert item.help.endswith(".")
    assert item.help[0].isupper()
    assert "  " not in item.help
    assert item.check(item.default) == item.default


@pytest.mark.parametrize("kind", OPERATIONS)
def test_service_is_not_told_what_is_ours(kind):
    told = kind().told()
    assert not told.keys() & set(SHARED)
    own = [item.name for item in kind.params() if item.name not in SHARED]
    assert list(told) == own
    assert [item.name for item in kind.params()] == [*own, *SHARED]
    assert kind(attempt=2, result_size="exact").told() == told


@pytest.mark.parametrize("value", [1.001, 1.5, 4, 4.0, math.nextafter(1, 2)])
def test_scale_factor_accepts(value):
    assert NovitaUpscale(scale_factor=value).scale_factor == value


@pytest.mark.parametrize("value", [1, 1.0, 0.5, 4.001, math.nan, math.inf, "2", None, True])
def test_scale_factor_refuses(value):
    with pytest.raises(InvalidInputError) as caught:
        NovitaUpscale(scale_factor=value)
    assert caught.value.name == "scale_factor"


def test_scale_factor_says_its_range():
    with pytest.raises(InvalidInputError, match="a number above 1 and at most 4; got 1"):
        NovitaUpscale(scale_factor=1)


@pytest.mark.parametrize(
    ("operation", "size", "target"),
    [
        (NovitaUpscale(), (33, 17), (66, 34)),
        (NovitaUpscale(scale_factor=1.5), (101, 3), (152, 4)),
        (NovitaUpscaleToResolution(resolution="2k"), (400, 300), (2048, 1536)),
        (NovitaUpscaleToResolution(), (300, 400), (3072, 4096)),
        (NovitaUpscaleToResolution(resolution="8k"), (8192, 1), (8192, 1)),
        (NovitaUpscaleToResolution(resolution="2k"), (5000, 10), (5000, 10)),
        (NovitaUpscaleV2(upscaling_resize=3), (5, 7), (8, 16)),
        (NovitaUpscaleV2(resize_mode="to size"), (5, 7), (1024, 1024)),
        (NovitaUpscaleV2(resize_mode="to size", upscaling_crop=False), (512, 256), (2048, 1024)),
        (PhotioUpscale(), (5, 7), (10, 14)),
        (PhotioUpscale(upscale_by="4"), (5, 7), (20, 28)),
        (WaveSpeedUpscale(target_resolution="8k"), (100, 50), (8192, 4096)),
        (WaveSpeedUpscale(), (1, 5000), (1, 5000)),
        (WaveSpeedUpscale(), (3, 4000), (3, 4096)),
    ],
)
def test_target_is_the_size_that_is_asked_for(operation, size, target):
    assert operation.target(*size) == target


@pytest.mark.parametrize(
    ("operation", "limits"),
    [
        (NovitaUpscale(), Limits(edge=2048, size=30_000_000)),
        (NovitaUpscaleToResolution(resolution="2k"), Limits(edge=2048)),
        (NovitaUpscaleV2(), Limits(result_edge=2048)),
        (PhotioUpscale(), Limits(result_edge=4096)),
        (WaveSpeedUpscale(target_resolution="8k"), Limits(edge=8192, size=200_000_000)),
    ],
)
def test_limits_are_the_documented_ones(operation, limits):
    assert operation.limits == limits


BLEND = {"upscaler_2": "a", "extras_upscaler_2_visibility": 0.5}


@pytest.mark.parametrize(
    ("operation", "size", "factor", "models"),
    [
        (
            NovitaUpscale(model_name="4x-UltraSharp", scale_factor=3),
            (8, 6),
            3.0,
            ("4x-UltraSharp",),
        ),
        (NovitaUpscaleToResolution(resolution="2k"), (1024, 6), 2.0, ("",)),
        (WaveSpeedUpscale(target_resolution="2k"), (4096, 6), 1.0, ("",)),
        (PhotioUpscale(upscale_by="4"), (8, 6), 4.0, ("",)),
        (NovitaUpscaleV2(), (8, 6), 2.0, ("RealESRGAN_x4plus",)),
        (NovitaUpscaleV2(upscaler_1="my own"), (8, 6), 2.0, ("my own",)),
        (NovitaUpscaleV2(upscaler_1="None", **BLEND), (8, 6), 1.0, ()),
        (NovitaUpscaleV2(upscaler_1="", **BLEND), (8, 6), 1.0, ()),
        (NovitaUpscaleV2(upscaler_1="Lanczos"), (8, 6), 2.0, ()),
        (NovitaUpscaleV2(upscaler_1="Nearest", **BLEND), (8, 6), 2.0, ("a",)),
        (NovitaUpscaleV2(**BLEND), (8, 6), 2.0, ("RealESRGAN_x4plus", "a")),
        (
            NovitaUpscaleV2(upscaler_1="a", **BLEND, resize_mode="to size"),
            (8, 512),
            128.0,
            ("a",),
        ),
        (NovitaUpscaleV2(upscaling_resize=0.5), (8, 6), 0.5, ("RealESRGAN_x4plus",)),
    ],
)
def test_others_can_do_it_with_these_models(operation, size, factor, models):
    assert operation.factor(*size) == factor
    assert operation.models() == models
    assert operation.only_there() == ""


@pytest.mark.parametrize("name", ["gfpgan_visibility", "codeformer_visibility"])
def test_faces_are_restored_by_the_service_only(name):
    assert "faces" in NovitaUpscaleV2(**{name: 0.1}).only_there()


@pytest.mark.parametrize(
    ("operation", "ways", "address"),
    [
        (NovitaUpscale(), ("base64",), ""),
        (
            NovitaUpscaleToResolution(image_url="https://a.example/b"),
            ("url",),
            "https://a.example/b",
        ),
        (NovitaUpscaleToResolution(send_data_uri=True), ("data_uri",), ""),
        (NovitaUpscaleV2(), ("base64",), ""),
        (PhotioUpscale(image_url="https://a.example/b"), ("base64",), "https://a.example/b"),
        (WaveSpeedUpscale(), ("upload", "data_uri"), ""),
    ],
)
def test_image_travels_in_documented_ways(operation, ways, address):
    assert (operation.ways(), operation.image_address) == (ways, address)
