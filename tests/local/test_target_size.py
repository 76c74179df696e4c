"""By which size a local result is asked for, and that it has exactly that."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upscale_bridge import LocalUpscale, Service
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images.resample import resize
from upscale_bridge.local.engine import pass_sizes
from upscale_bridge.local.operation import LocalUpscaleVideo

PIXELS = st.integers(1, 20_000)
BOX = {"size_by": "width and height"}
TARGETS = [  # values, image, its middle that is enlarged, result
    ({"scale_factor": 2.5}, (101, 60), (101, 60), (252, 150)),
    ({"size_by": "longest edge", "longest_edge": 3840}, (101, 60), (101, 60), (3840, 2281)),
    ({"size_by": "longest edge", "longest_edge": 9}, (60, 101), (60, 101), (5, 9)),
    ({"size_by": "shortest edge", "shortest_edge": 1024}, (101, 60), (101, 60), (1724, 1024)),
    ({"size_by": "megapixels", "megapixels": 1.0}, (400, 100), (400, 100), (2000, 500)),
    ({"size_by": "megapixels", "megapixels": 0.1}, (1000, 1000), (1000, 1000), (316, 316)),
    ({**BOX, "width": 500, "height": 0}, (101, 60), (101, 60), (500, 297)),
    ({**BOX, "width": 0, "height": 90, "fit_mode": "fill"}, (101, 60), (101, 60), (152, 90)),
    ({**BOX, "width": 203, "height": 121}, (101, 60), (101, 60), (203, 121)),
    ({**BOX, "width": 64, "height": 300}, (101, 60), (101, 60), (64, 38)),
    ({**BOX, "width": 64, "height": 300, "fit_mode": "fill"}, (101, 60), (13, 60), (64, 300)),
    ({**BOX, "width": 9, "height": 9, "fit_mode": "fill"}, (3, 2000), (3, 3), (9, 9)),
    ({**BOX, "width": 64, "height": 300, "fit_mode": "stretch"}, (101, 60), (101, 60), (64, 300)),
]


@pytest.mark.parametrize(("values", "image", "window", "target"), TARGETS)
def test_size_of_the_result(values, image, window, target):
    operation = LocalUpscale(**values)
    assert operation.target(*image) == target
    assert operation.window(*image) == window
    least = max(wanted / now for wanted, now in zip(target, window, strict=True))
    assert operation.factor(*image) == pytest.approx(least, rel=0.06)
    video = LocalUpscaleVideo(**values)
    assert all(side % 2 == 0 and abs(side - wanted) < 2
               for side, wanted in zip(video.target(*image), target, strict=True))  # fmt: skip


@given(width=PIXELS, height=PIXELS, wanted=PIXELS)
def test_a_side_that_is_told_is_met_exactly(width, height, wanted):
    found = [
        LocalUpscale(size_by=f"{which} edge", **{f"{which}_edge": wanted}).target(width, height)
        for which in ("longest", "shortest")
    ]
    found += [
        LocalUpscale(**BOX, width=side, height=wanted - side).target(width, height)
        for side in (0, wanted)
    ]
    met = max(found[0]), min(found[1]), found[2][1], found[3][0]
    assert met == (wanted,) * 4


@given(width=PIXELS, height=PIXELS, box=st.tuples(PIXELS, PIXELS))
def test_picture_fits_inside_the_box_and_touches_it(width, height, box):
    operation = LocalUpscale(**BOX, width=box[0], height=box[1])
    sides = operation.target(width, height)
    assert sides[0] <= box[0]
    assert sides[1] <= box[1]
    assert sides[0] == box[0] or sides[1] == box[1]


@given(width=PIXELS, height=PIXELS, box=st.tuples(PIXELS, PIXELS))
def test_what_is_cropped_has_the_proportions_of_the_box(width, height, box):
    operation = LocalUpscale(**BOX, width=box[0], height=box[1], fit_mode="fill")
    wide, high = operation.window(width, height)
    assert 1 <= wide <= width
    assert 1 <= high <= height
    assert wide == width or high == height
    off = abs(wide - high * box[0] / box[1]), abs(high - wide * box[1] / box[0])
    assert min(off) <= 0.5 or 1 in (wide, high)


def test_no_size_at_all_is_refused():
    with pytest.raises(InvalidInputError, match="width and height are both 0"):
        LocalUpscale(**BOX, width=0, height=0)
    assert LocalUpscale(width=0, height=0).target(2, 2) == (8, 8)


def test_a_side_that_is_stretched_less_loses_nothing_on_the_way():
    assert pass_sizes((10, 10), (160, 20), 16.0, 4) == [(10, 10), (40, 10), (160, 20)]
    assert pass_sizes((10, 10), (160, 5), 16.0, 4) == [(10, 10), (40, 5), (160, 5)]
    assert pass_sizes((10, 10), (30, 30), 3.0, 4) == [(10, 10), (30, 30)]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("values", "image", "target"),
    [
        ({**BOX, "width": 75, "height": 0}, (15, 9), (75, 45)),
        ({**BOX, "width": 0, "height": 14, "fit_mode": "fill"}, (15, 9), (23, 14)),
        ({**BOX, "width": 31, "height": 19}, (15, 9), (31, 19)),
        ({**BOX, "width": 10, "height": 45}, (15, 9), (10, 6)),
        ({**BOX, "width": 10, "height": 45, "fit_mode": "fill"}, (15, 9), (10, 45)),
        ({**BOX, "width": 9, "height": 9, "fit_mode": "fill"}, (3, 20), (9, 9)),
        ({**BOX, "width": 10, "height": 45, "fit_mode": "stretch"}, (15, 9), (10, 45)),
    ],
)
def test_images_have_that_size(values, image, target, channels):
    images = torch.rand(2, image[1], image[0], channels)
    result = Service().run(LocalUpscale(**values), images)
    assert result.images.shape == (2, target[1], target[0], channels)
    assert (result.info["input_size"], result.info["size"]) == (image, target)


def test_the_middle_is_kept():
    """Below 1 no model runs: what is left is that of the image's middle, resized."""
    images = torch.rand(1, 60, 100, 3)
    operation = LocalUpscale(**BOX, width=30, height=30, fit_mode="fill")
    expected = resize(images[0, :, 20:80], 30, 30)
    assert torch.equal(Service().run(operation, images).images[0], expected)
