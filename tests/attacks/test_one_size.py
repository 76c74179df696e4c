"""One size: what the page says before a run is what node, shell, WebUI and server make."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.server.sockless import MODEL
from upscale_bridge import cli
from upscale_bridge.contract.operation import Limits
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import sizes
from upscale_bridge.local.operation import LocalUpscale, LocalUpscaleVideo
from upscale_bridge.monitor import Monitor
from upscale_bridge.preflight import advise
from upscale_bridge.remote import encoding
from upscale_bridge.server import processing, status
from upscale_bridge.server.queue import Job
from upscale_bridge.vendors import (
    OPERATIONS,
    VENDORS,
    NovitaUpscale,
    NovitaUpscaleToResolution,
    NovitaUpscaleV2,
    PhotioUpscale,
    WaveSpeedUpscale,
)

SIDES = st.integers(1, 33)
PRESETS = st.sampled_from(("2k", "4k", "8k"))
HOW = {
    "result_size": st.sampled_from(("as delivered", "exact")),
    "when_too_large": st.sampled_from(("refuse", "fit")),
    "when_unavailable": st.just("run locally"),
}
FACTORS = st.one_of(st.sampled_from((0.5, 1, 1.5, 2, 2.5, 4, 8)), st.floats(0.01, 8))
V2 = st.builds(
    NovitaUpscaleV2,
    upscaler_1=st.sampled_from((MODEL, MODEL, "None", "Lanczos", "Nearest")),
    resize_mode=st.sampled_from(("by factor", "to size")),
    upscaling_resize=FACTORS,
    upscaling_resize_w=st.integers(1, 70),
    upscaling_resize_h=st.integers(1, 70),
    upscaling_crop=st.booleans(),
    **HOW,
)
REMOTE = st.one_of(
    V2,
    V2,
    st.builds(
        NovitaUpscale,
        model_name=st.just("4x-UltraSharp"),
        scale_factor=st.floats(1, 4, exclude_min=True),
        **HOW,
    ),
    st.builds(
        NovitaUpscaleToResolution, resolution=PRESETS, send_data_uri=st.just(value=True), **HOW
    ),
    st.builds(WaveSpeedUpscale, target_resolution=PRESETS, **HOW),
    st.builds(PhotioUpscale, upscale_by=st.sampled_from(("2", "4")), **HOW),
)
FIXED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def extras(**fields):
    return NovitaUpscaleV2(upscaler_1=MODEL, **fields)


def to_size(width, height, **fields):
    size = {"upscaling_resize_w": width, "upscaling_resize_h": height}
    return extras(resize_mode="to size", **size, **fields)


@pytest.fixture(autouse=True)
def limits(monkeypatch, small_presets):
    """Let services take small images only, and give nobody a key."""
    for kind in OPERATIONS:
        few = property(lambda self: Limits(edge=25, result_edge=90))
        monkeypatch.setattr(kind, "limits", few)
    for provider in VENDORS:
        monkeypatch.delenv(provider.key_variable, raising=False)
        monkeypatch.delenv(provider.url_variable, raising=False)


@pytest.fixture
def private(limits, monkeypatch):
    """Let all services be private hosts, which need no key."""
    for provider in VENDORS:
        monkeypatch.setenv(provider.url_variable, "http://127.0.0.1:8190")


def through_the_server(service, operation, image):
    """Return the size of what a client gets that sends an image to our server."""
    parcel = encoding.pack(operation, image, Monitor())
    head = parcel.picture.width, parcel.picture.height
    processing.check(service, operation, *head)
    picture = processing.carry_out(service, operation, parcel.picture.data, Monitor())
    job = Job("", "", type(operation).__name__, "", "", 1.0, *head)
    shown = status._result_size(job, operation.told())
    assert shown == [picture.width, picture.height], "the status page"
    found = encoding.unpack(operation, parcel)(picture.data)
    return found.shape[1], found.shape[0]


def done_here(service, operation, image):
    """Return the size of what a node or the shell makes when there is no service."""
    found = service.run(operation, image[None]).images[0]
    return found.shape[1], found.shape[0]


@FIXED
@given(REMOTE, SIDES, SIDES)
def test_page_says_what_a_service_makes(service, private, operation, width, height):
    image = torch.rand(height, width, 3)
    said = advise(service, operation, (width, height)).size
    try:
        made = through_the_server(service, operation, image)
    except InvalidInputError:
        assert operation.when_too_large == "refuse"
        assert encoding.sendable_size(operation, width, height) != (width, height)
        return
    assert made == said


@FIXED
@given(REMOTE, st.integers(1, 25), st.integers(1, 25))
def test_page_says_what_this_machine_makes_in_place_of_a_service(service, operation, width, height):
    operation = replace(operation, result_size="exact", when_too_large="fit")
    said = advise(service, operation, (width, height)).size
    assert done_here(service, operation, torch.rand(height, width, 3)) == said


@FIXED
@given(
    st.one_of(st.floats(0.25, 16), st.sampled_from((0.25, 0.5, 1.5, 2.5, 16))),
    st.integers(1, 17),
    st.integers(1, 17),
)
def test_local_results_are_rounded_to_the_nearest_pixel(service, factor, width, height):
    operation = LocalUpscale(scale_factor=factor)
    wanted = max(round(width * factor), 1), max(round(height * factor), 1)
    assert advise(service, operation, (width, height)).size == wanted
    assert done_here(service, operation, torch.rand(height, width, 1)) == wanted
    film = LocalUpscaleVideo(scale_factor=factor).target(width, height)
    assert film == tuple(max(round(side / 2), 1) * 2 for side in wanted)


EXAMPLES = (
    (extras(), (61, 50), (120, 96)),
    (extras(), (3, 3), (8, 8)),
    (extras(upscaling_resize=1.0), (9, 9), (8, 8)),
    (extras(upscaling_resize=1.5), (11, 21), (16, 24)),
    (to_size(203, 121, upscaling_crop=False), (101, 60), (200, 120)),
    (to_size(203, 121), (101, 60), (203, 121)),
    (to_size(20, 30, upscaling_crop=False), (12, 8), (40, 24)),
    (to_size(20, 10, upscaling_crop=False), (40, 40), (16, 16)),
    (to_size(1, 1, upscaling_crop=False), (40, 40), (8, 8)),
    (to_size(1, 1), (40, 40), (1, 1)),
    (replace(extras(), upscaler_1="None"), (61, 50), (61, 50)),
    (replace(to_size(30, 30), upscaler_1="None"), (61, 50), (61, 50)),
    (PhotioUpscale(), (1, 9), (2, 18)),
    (NovitaUpscale(model_name="4x-UltraSharp", scale_factor=1.5), (1, 3), (2, 4)),
    (WaveSpeedUpscale(target_resolution="2k"), (1, 64), (1, 64)),
)


@pytest.mark.parametrize("result_size", ["as delivered", "exact"])
@pytest.mark.parametrize(("operation", "size", "wanted"), EXAMPLES)
def test_examples(service, monkeypatch, operation, size, wanted, result_size):
    monkeypatch.setattr(type(operation), "limits", Limits())
    operation = replace(operation, result_size=result_size)
    assert operation.target(*size) == wanted
    assert advise(service, operation, size).size == wanted
    assert through_the_server(service, operation, torch.rand(size[1], size[0], 3)) == wanted


@pytest.mark.parametrize(("size", "factor"), [((61, 50), 2.0), ((3, 3), 2.0), ((5, 31), 1.3)])
def test_shell_makes_what_the_page_says(service, tmp_path, capsys, monkeypatch, size, factor):
    monkeypatch.setattr(NovitaUpscaleV2, "limits", Limits())
    Image.new("RGB", size, "teal").save(tmp_path / "in.png")
    out = tmp_path / "out.png"
    command = ["novita-v2", str(tmp_path / "in.png"), "-o", str(out), "--upscaler-1", MODEL]
    how = ["--upscaling-resize", str(factor), "--when-unavailable", "run locally"]
    assert cli.main([*command, *how]) == 0, capsys.readouterr().err
    operation = extras(upscaling_resize=factor)
    with Image.open(out) as found:
        assert found.size == advise(service, operation, size).size


@pytest.mark.parametrize("came", [(120, 96), (122, 100), (121, 97)])
def test_host_that_rounds_v2_otherwise_is_believed(came):
    encoding.check_size(extras(), (61, 50), came)


def test_a_result_below_the_image_is_taken_where_it_was_asked_for():
    smaller = to_size(20, 10, upscaling_crop=False)
    for came in ((20, 20), (16, 16), (19, 19)):
        encoding.check_size(smaller, (40, 40), came)


def test_fitting_never_exceeds_the_edge_and_never_vanishes():
    for width in range(1, 90):
        for edge in range(1, 40):
            wide, high = sizes.within((width, 7), edge)
            assert 1 <= max(wide, high) <= max(edge, 1)
            assert high >= 1


@pytest.mark.parametrize(("width", "height"), [(40, 64), (64, 40), (33, 33)])
def test_alpha_is_cropped_as_the_colours_are(service, private, monkeypatch, width, height):
    """A white square on black, opaque where it is white: both must stay in one place."""
    monkeypatch.setattr(NovitaUpscaleV2, "limits", Limits())
    image = torch.zeros(20, 30, 4)
    image[6:14, 9:21] = 1
    image[..., 3].clamp_(min=0.01)  # the colours below full transparency are not kept
    operation = replace(to_size(width, height), upscaler_1="Nearest")
    parcel = encoding.pack(operation, image, Monitor())
    picture = processing.carry_out(service, operation, parcel.picture.data, Monitor())
    found = encoding.unpack(operation, parcel)(picture.data)
    assert found.shape == (height, width, 4)
    apart = (found[..., 0] > 0.5) != (found[..., 3] > 0.5)
    assert apart.float().mean() < 0.12, "but for the edge, which Lanczos puts elsewhere"
