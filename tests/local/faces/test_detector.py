"""The detector's file and OpenCV: what is refused, missing, none."""

import sys
from types import SimpleNamespace

import pytest
import torch

from upscale_bridge.errors import EngineError, StoppedError, UnsupportedModelError
from upscale_bridge.local.faces import opencv
from upscale_bridge.local.faces.detector import Detector


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (2000, 3), (300, 400)])
def test_no_face_is_no_error(detector, shape):
    assert detector.find(torch.rand(*shape, 3)) == []


def test_the_search_can_be_stopped(detector, photo):
    def stop():
        raise StoppedError

    with pytest.raises(StoppedError):
        detector.find(photo(), stop)


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
