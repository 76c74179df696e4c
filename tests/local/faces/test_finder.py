"""Faces are found in the sizes and tilts that docs/MODELS.md tells, each once, and nothing else is:
with OpenCV and the weights that are downloaded."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from upscale_bridge.images import codecs
from upscale_bridge.images.resample import resize
from upscale_bridge.local.faces.align import TEMPLATE
from upscale_bridge.local.faces.finder import find_faces

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
# Measured by eye in the photo of 512 px, whose face has a side of 100 px: eyes, nose, mouth.
POINTS = np.array([[203, 103], [247, 101], [227, 126], [204, 146], [244, 145]], np.float32)
SIDE = 100
NEAR = 0.13  # of the face's side


def assert_found(detector, image, points, side=SIDE):
    """The face is found once, points where they are, and can be brought into the square."""
    ((face, lies),) = find_faces(detector, image)
    assert not isinstance(lies, str)
    assert abs(face.points - points).max() < NEAR * side


def tilted(image, points, degrees):
    """Return a square image and its points turned counterclockwise; gray beside it."""
    side = image.shape[0]
    whole = int(side * 1.42)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1)
    matrix[:, 2] += (whole - side) / 2
    gray = cv2.BORDER_CONSTANT
    turned = cv2.warpAffine(
        image.numpy(), matrix, (whole, whole), None, cv2.INTER_CUBIC, gray, (0.5, 0.5, 0.5)
    )
    return torch.from_numpy(turned.clip(0, 1)), points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("degrees", [15, 30, 45, 60, 90, 135, 180, 225, 315])
def test_a_face_is_found_however_it_is_turned(detector, photo, degrees):
    image, points = tilted(photo(0.5), (POINTS + 0.5) / 2 - 0.5, degrees)
    assert_found(detector, image, points, SIDE / 2)


@pytest.mark.parametrize(
    ("longest", "side", "degrees"),
    [
        (640, 20, 0),
        (1500, 25, 0),
        (1500, 25, 30),
        (1500, 34, 90),
        (3000, 50, 0),
        (3000, 50, -30),
        (3000, 67, 180),
        (6000, 100, 0),
    ],
)
def test_a_small_face_is_found_in_a_large_picture(detector, photo, longest, side, degrees):
    """A sixtieth of the longer side up to 30 degrees of tilt, a forty-fifth from any side."""
    image, points = tilted(photo(side / SIDE), (POINTS + 0.5) * side / SIDE - 0.5, degrees)
    whole = torch.full((image.shape[0] + 20, longest, 3), 0.5)
    whole[20:, longest // 3 : longest // 3 + image.shape[1]] = image
    assert_found(detector, whole, points + np.array([longest // 3, 20]), side)


def test_a_large_face_is_found(detector, photo):
    assert_found(detector, photo(4.0), (POINTS + 0.5) * 4 - 0.5, SIDE * 4)


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom"),
    [(207, 0, 512, 512), (0, 95, 512, 512), (0, 0, 243, 512), (0, 0, 512, 138)],
)
def test_a_face_of_which_the_border_cuts_a_third_is_found(
    detector, photo, left, top, right, bottom
):
    assert_found(detector, photo()[top:bottom, left:right], POINTS - (left, top))


def test_several_faces_come_once_each_the_largest_first(detector, photo):
    image = torch.zeros(900, 700, 3)
    for side, top, left in ((256, 0, 0), (400, 300, 200), (200, 20, 400)):
        image[top : top + side, left : left + side] = resize(photo()[:400, 50:450], side, side)
    left = [float(face.place.split(", ")[0]) for face, _ in find_faces(detector, image)]
    assert np.allclose(left, (376, 111, 487), atol=6)


@pytest.mark.parametrize("name", ["comfyui.jpg", "cat.png"])
def test_what_one_look_takes_for_a_face_is_none(detector, name):
    image = codecs.decode((PICTURES / name).read_bytes(), name).pixels[..., :3]
    assert detector.find(image)
    assert find_faces(detector, image) == []


@pytest.mark.parametrize("sure", [(False,), (True, False), (True, True, True)])
def test_a_face_that_was_sure_stays_one_when_a_later_look_is_not(
    detector, photo, sure, monkeypatch
):
    """Each closer look sees the face elsewhere, so that another follows."""
    (face, *_), rounds = detector.find(photo()), iter(sure)
    monkeypatch.setattr(detector, "find", lambda image, check: [face])
    monkeypatch.setattr(
        detector, "look_closer", lambda square, before: TEMPLATE + 40 if next(rounds) else None
    )
    assert len(find_faces(detector, photo())) == sure[0]
    assert list(rounds) == []
