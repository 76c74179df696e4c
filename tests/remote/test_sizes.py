"""Sizes, channels and transparency of what is sent and of what comes back."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.fakes import faults
from tests.remote.host import ALL, EACH, KINDS, POLLED, PROFILES, Watch, enlarged, make, picture
from upscale_bridge.errors import BadReplyError, InvalidInputError
from upscale_bridge.images import codecs
from upscale_bridge.images.resample import centre, resize
from upscale_bridge.monitor import Monitor
from upscale_bridge.remote import encoding

SIZED = [one for one in POLLED if KINDS[one].size_parameter]
PRESETS = [one for one in SIZED if KINDS[one]().factor(64, 64) == 64]
"""Those that are asked for 4k, not for a factor."""


def sent(vendor):
    """Return the image of the last task as uint8 [height, width, channels]."""
    return np.asarray(Image.open(io.BytesIO(vendor.fake.tasks[-1].image)))


@pytest.mark.parametrize("command", ALL)
def test_pixels_are_rounded_and_sent_as_rgb(vendor, command):
    image = picture() + 0.4 / 255
    vendor.run(command, image)
    assert np.array_equal(sent(vendor), (image[0].numpy() * 255).round())
    for channels in (1, 2, 4):
        vendor.run(command, picture(channels, channels=channels))
        assert sent(vendor).shape == (16, 24, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats(vendor, dtype):
    image = torch.randint(0, 2, (1, 16, 24, 3)).to(dtype)
    found = vendor.run("novita", image).images
    assert torch.equal(found, enlarged("novita", image.float()))


def test_values_out_of_range(vendor):
    image = picture()
    image[0, 0, 0] = torch.tensor([float("nan"), float("inf"), -3.0])
    found = vendor.run("novita", image).images
    assert bool(torch.isfinite(found).all())
    assert sent(vendor)[0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize("command", ALL)
def test_gray_becomes_rgb(vendor, command):
    found = vendor.run(command, picture(channels=1)).images
    assert found.shape[-1] == 3
    assert torch.equal(found[..., 0], found[..., 1])


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_joined_again(vendor, command, channels):
    image = picture(channels=channels)
    image[..., -1] = torch.linspace(0, 1, 24).expand(1, 16, 24)
    found = vendor.run(command, image).images
    assert found.shape == (*enlarged(command, picture()).shape[:3], 4)
    alpha = found[0, :, :, 3]
    assert bool((alpha[:, 1:] >= alpha[:, :-1] - 0.02).all())
    assert alpha[:, 0].max() < 0.05
    assert alpha[:, -1].min() > 0.95


def test_transparency_of_a_new_mask_costs_nothing(vendor):
    image = picture(channels=4)
    image[..., 3] = 1.0
    opaque = vendor.run("novita", image).images
    image[..., 3] = 0.5
    found = vendor.run("novita", image).images
    assert len(vendor.fake.tasks) == 1
    assert torch.equal(found[..., :3], opaque[..., :3])
    assert torch.allclose(found[..., 3], torch.tensor(0.5), atol=1e-3)


@pytest.mark.parametrize(
    ("command", "changes", "size", "allowed"),
    [
        ("novita", {}, (2100, 30), (2048, 29)),
        ("novita-resolution", {"resolution": "2k"}, (2100, 30), (2048, 29)),
        ("novita-v2", {}, (1200, 20), (1024, 17)),
        ("photio", {}, (2100, 30), (2048, 29)),
        ("photio", {"upscale_by": "4"}, (1200, 20), (1024, 17)),
        ("wavespeed", {"target_resolution": "2k"}, (30, 2100), (29, 2048)),
    ],
)
def test_images_beyond_the_limits(vendor, command, changes, size, allowed):
    image = picture(size=size)
    with pytest.raises(InvalidInputError, match=f"fit, .*{allowed[0]} x {allowed[1]} px") as caught:
        vendor.run(command, image, **changes)
    assert f"{size[0]} x {size[1]} px" in str(caught.value)
    assert (vendor.fake.requests, vendor.rows) == ([], [])
    watch = Watch()
    found = vendor.run(command, image, watch, when_too_large="fit", **changes).images
    assert sent(vendor).shape == (allowed[1], allowed[0], 3)
    assert f"{allowed[0]} x {allowed[1]}" in watch.notices[0]
    assert found.shape[2] >= allowed[0]


def test_the_size_that_was_asked_for_is_that_of_the_whole_image(vendor):
    image = picture(size=(1200, 20))
    found = vendor.run("novita-v2", image, when_too_large="fit", result_size="exact").images
    assert found.shape == (1, 40, 2400, 3)


def test_a_file_beyond_the_limit(vendor, monkeypatch):
    monkeypatch.setattr("upscale_bridge.vendors.novita.upscale.Limits", limits_of_a_kilobyte())
    noise = torch.rand(1, 32, 32, 3)
    with pytest.raises(InvalidInputError, match="set when_too_large to fit"):
        vendor.run("novita", noise)
    watch = Watch()
    smooth = torch.linspace(0, 1, 64).expand(1, 64, 64).unsqueeze(-1).expand(1, 64, 64, 3)
    smooth = smooth + 0.02 * torch.rand(1, 64, 64, 1)
    vendor.run("novita", smooth, watch, when_too_large="fit")
    assert "WebP" in watch.notices[0]


def limits_of_a_kilobyte():
    from upscale_bridge.contract.operation import Limits

    return lambda edge, size: Limits(edge=edge, size=2000)


@pytest.mark.parametrize("command", [one for one in ALL if not PROFILES[one].long_edge])
def test_results_of_different_sizes_wait_for_exact(vendor, command):
    images = picture(0, 1)
    vendor.fake.faults["submit"].append(faults.smaller(1.5))
    with pytest.raises(InvalidInputError, match="result_size to exact") as caught:
        vendor.run(command, images)
    assert "36 x 24, 48 x 32" in str(caught.value)
    requests = len(vendor.fake.requests)
    found = vendor.run(command, images, result_size="exact").images
    assert found.shape == (2, 32, 48, 3)
    assert len(vendor.fake.requests) == requests
    right = enlarged(command, images)
    assert min((found - right).abs().amax((1, 2, 3)).tolist()) == 0


@pytest.mark.parametrize("command", PRESETS)
def test_exact_is_what_a_preset_means(remote, command):
    host = remote(preset_edges={"2k": 2000})
    changes = {KINDS[command].size_parameter: "2k", "result_size": "exact"}
    found = host.run(command, picture(size=(1000, 10)), **changes).images
    assert found.shape == (1, 20, 2048, 3)


@pytest.mark.parametrize("command", EACH)
@pytest.mark.parametrize("exact", ["exact", "as delivered"])
def test_results_that_cannot_be_right_are_kept(vendor, command, exact):
    vendor.fake.faults["submit"].append(faults.smaller(0.9))
    for _ in range(2):
        with pytest.raises(BadReplyError, match="smaller than the image") as caught:
            vendor.run(command, result_size=exact)
        path = Path(re.search(r"is kept in (.+?);", str(caught.value))[1])
        with Image.open(path) as image:
            assert image.size == (22, 14)
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (257, 3)])
@pytest.mark.parametrize("command", EACH)
def test_tiny_and_narrow_images(vendor, command, size):
    image = picture(size=size)
    assert torch.equal(vendor.run(command, image).images, enlarged(command, image))


@pytest.mark.parametrize("command", [one for one in ALL if hasattr(KINDS[one], "image_url")])
def test_an_address_in_place_of_the_image(vendor, command):
    url = "https://example.com/cat.png?sig=hush"
    changes = dict.fromkeys(PROFILES[command].sending, False)
    found = vendor.run(command, image_url=url, **changes)
    task = vendor.fake.tasks[0]
    assert (task.source, task.url) == ("url", url)
    # The image behind it has another shape than the one at the input, which was not sent.
    assert found.images.shape == (1, 96, 128, 3)
    assert "hush" not in str(vendor.rows)
    vendor.run(command, image_url=url, **changes)
    assert len(vendor.fake.tasks) == 1


def test_results_in_other_formats(vendor):
    for index, (kind, slack) in enumerate((("png", 0), ("webp", 0), ("jpeg", 0.1))):
        found = vendor.run("novita", picture(index), response_image_type=kind).images
        assert (found - enlarged("novita", picture(index))).abs().max() <= slack


@pytest.mark.parametrize("command", POLLED)
def test_nothing_is_left_beside_the_result(vendor, command, own_home):
    vendor.run(command)
    (path,) = (own_home / "results").iterdir()
    assert path.suffix == ".png"


def test_v2_rounds_down_to_multiples_of_eight():
    """What the WebUI makes of 61 x 50 px and a factor of 2, though it looks a little narrow."""
    operation = make("novita-v2", upscaling_resize=2.0)
    encoding.check_size(operation, (61, 50), (120, 96))
    encoding.check_size(operation, (61, 50), (122, 100))
    with pytest.raises(BadReplyError):
        encoding.check_size(operation, (61, 50), (112, 104))


def test_v2_at_factor_one_may_be_a_little_smaller():
    encoding.check_size(make("novita-v2", upscaling_resize=1.0), (61, 50), (56, 48))


CROPPED = {"resize_mode": "to size", "upscaling_resize_w": 40, "upscaling_resize_h": 40}


@pytest.mark.parametrize("method", ["lab", "wavelet"])
@pytest.mark.parametrize(("command", "values"), [("novita", {}), ("novita-v2", CROPPED)])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_result_gets_the_colours_of_what_was_sent(command, values, method, channels):
    image = resize(torch.rand(4, 6, channels) * 0.5 + 0.3, 48, 32)
    wish = KINDS[command](**values, colour_match=method)
    parcel = encoding.pack(wish, image, Monitor())
    expected = carry_out(wish.plan(48, 32), image[None, ..., :3])
    back = codecs.encode(expected * 0.8).data
    found = encoding.unpack(wish, parcel)(back)
    assert found.shape[-1] == channels
    assert (found[..., :3] - expected).abs().mean() < 0.4 * (expected * 0.2).mean()


def carry_out(plan, image):
    """Return what a service would make of an image, by Lanczos."""
    return centre(resize(image[0], *plan.size), *plan.crop)


def test_colours_of_a_kept_result_cost_nothing(vendor):
    plain = vendor.run("novita", picture()).images
    found = vendor.run("novita", picture(), colour_match="lab")
    assert found.images.shape == plain.shape
    assert found.info["tasks"][0]["how"] == "reused"
    address = {"image_url": "https://pictures.example.com/a.png", "colour_match": "lab"}
    with pytest.raises(InvalidInputError, match="only its address names"):
        vendor.run("photio", picture(), **address)
