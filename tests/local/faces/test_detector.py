"""Faces are found in all sizes and turned anyhow, with OpenCV and the weights that are shipped."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from upscale_bridge.errors import EngineError, StoppedError, UnsupportedModelError
from upscale_bridge.images.resample import resize
from upscale_bridge.local.faces import opencv
from upscale_bridge.local.faces.align import align, cut_out
from upscale_bridge.local.faces.detector import Detector

# Measured by eye in the photo of 512 px: eyes, nose, mouth.
POINTS = np.array([[203, 103], [247, 101], [227, 126], [204, 146], [244, 145]])
NEAR = 8  # px of that photo


def assert_seen(faces, points):
    (face,) = faces
    assert face.score > 0.7
    assert abs(face.points - points).max() < NEAR * np.hypot(*(points[1] - points[0])) / 44


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_a_face_is_found_at_any_size(detector, photo, factor):
    assert_seen(detector.find(photo(factor)), POINTS * factor)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_is_found_from_all_sides(detector, photo, quarters):
    turned = torch.rot90(photo(), quarters, (0, 1))
    x, y = POINTS.T
    where = {1: (y, 511 - x), 2: (511 - x, 511 - y), 3: (511 - y, x)}[quarters]
    assert_seen(detector.find(turned), np.stack(where, axis=1))


def test_a_face_that_the_border_cuts_is_found(detector, photo):
    assert_seen(detector.find(photo()[:, 195:]), POINTS - (195, 0))
    assert_seen(detector.find(photo()[100:]), POINTS - (0, 100))


def test_several_faces_come_the_largest_first(detector, photo):
    image = torch.zeros(900, 700, 3)
    for side, top, left in ((256, 0, 0), (400, 300, 200), (200, 20, 400)):
        image[top : top + side, left : left + side] = resize(photo()[:400, 50:450], side, side)
    left = [float(one.place.split(", ")[0]) for one in detector.find(image)]
    assert np.allclose(left, (376, 111, 487), atol=6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (2000, 3), (300, 400)])
def test_no_face_is_no_error(detector, shape):
    assert detector.find(torch.rand(*shape, 3)) == []


def test_the_search_can_be_stopped(detector, photo):
    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        detector.find(photo(), stop)


def test_a_second_look_agrees_whatever_the_size(detector, photo):
    """The first one puts the square's side between 160 and 175 px of the photo."""
    sides = []
    for factor in (0.5, 1.0, 2.0, 4.0):
        image = photo(factor)
        (face,) = detector.find(image)
        first = align(face)
        points = detector.look_closer(cut_out(image, first))
        matrix = first.to_image
        points = points @ matrix[:, :2].T + matrix[:, 2]
        sides.append(np.hypot(*(points[1] - points[0])) / factor)
    assert max(sides) / min(sides) < 1.04
    assert detector.look_closer(np.zeros((512, 512, 3), np.float32)) is None


def test_what_is_no_model_is_refused(detector):
    with pytest.raises(UnsupportedModelError, match="cannot load the detector of faces"):
        Detector(b"no model")


def test_a_model_is_loaded_without_a_warning(yunet, monkeypatch, capfd):
    Detector(yunet.read_bytes())
    assert capfd.readouterr().err == ""
    monkeypatch.delattr("cv2.utils.logging", raising=False)  # as before OpenCV 5
    Detector(yunet.read_bytes())


@pytest.mark.parametrize(
    ("numpy", "command"),
    [("1.26.4", '"opencv-python-headless<4.12"'), ("2.4.6", '"opencv-python-headless>=4.9"')],
)
@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (None, "which cannot be used"),
        (SimpleNamespace(__version__="4.8.1"), "4.9 or newer, and 4.8.1 is here"),
        (SimpleNamespace(__version__="5.1.0-dev"), "without its detector"),
    ],
)
def test_a_missing_opencv_is_told_and_changes_nobodys_numpy(
    monkeypatch, numpy, command, module, problem
):
    monkeypatch.setitem(sys.modules, "cv2", module)
    monkeypatch.setattr(opencv.np, "__version__", numpy)
    with pytest.raises(EngineError, match=problem) as caught:
        opencv.import_opencv()
    assert f"`pip install {command}`" in str(caught.value)
