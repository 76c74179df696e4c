"""Where faces may be, and five points of each: YuNet, run by OpenCV.

YuNet sees faces of about 10 to 300 px (README of opencv_zoo's face_detection_yunet), so that an
image is looked at in two sizes. What is turned by more than 60 degrees it often misses, so that
the smaller one is looked at from all four sides. At a tilted or tiny face it is as unsure as at
many a thing that is none; of the face alone, upright and large, it is sure. Its points are off by a
twentieth of the face, differently in each size: the average of those closer looks is off by a fifth
of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...images.resample import resize
from .opencv import import_opencv, quiet

Floats = npt.NDArray[np.float32]

_LOOKS = ((1600, (0,)), (640, (0, 1, 2, 3)))
"""Longest sides in which an image is looked at, and by how many quarters it is turned then."""
_CLOSER = (224, 304, 384)
"""Sides in which the square of an upright face is looked at."""
_ASTRAY = 0.3  # of the square's side, from its middle; what lies farther off is another face
_PERHAPS, _SURE = 0.5, 0.8  # of 1; what is no face gets more than that in one look, not in two
_OVERLAP = 0.3  # of the area of two boxes together that makes them one face


@dataclass(frozen=True)
class Face:
    """One face in an image; all in pixels of it, where 0 is the middle of the first one."""

    box: tuple[float, float, float, float]
    """Left, top, width and height; may reach beyond the image."""
    points: Floats
    """[5, 2] of x, y: the eye that is on the left, the other one, nose, both ends of the mouth."""
    score: float
    """How sure it is, 0..1."""

    @property
    def sure(self) -> bool:
        """Whether one more look like this tells that it is a face."""
        return self.score >= _SURE

    @property
    def size(self) -> float:
        """Side of a square as large as the box."""
        return float(max(self.box[2] * self.box[3], 0.0) ** 0.5)

    @property
    def place(self) -> str:
        """Where its middle is, for the user."""
        left, top, width, height = self.box
        return f"{left + width / 2:.0f}, {top + height / 2:.0f}"


class Detector:
    """Finds faces; not to be used by two threads at once."""

    def __init__(self, model: bytes) -> None:
        """`model` is YuNet as ONNX, whose bytes somebody has checked."""
        self._cv2 = import_opencv()
        data, no_config = np.frombuffer(model, np.uint8), np.zeros(0, np.uint8)
        try:
            with quiet(self._cv2):
                self._net: Any = self._cv2.FaceDetectorYN.create(
                    "onnx", data, no_config, (320, 320), _PERHAPS, _OVERLAP
                )
        except self._cv2.error as error:
            reason = " ".join(str(error).split())[:200]
            raise UnsupportedModelError(
                f"OpenCV {self._cv2.__version__} cannot load the detector of faces ({reason}); "
                "install a newer one."
            ) from error

    def find(self, image: Tensor, check: Callable[[], None] = lambda: None) -> list[Face]:
        """Return what may be faces of [height, width, 3] in 0..1, the surest first.

        `check` is called before each look, and what it raises ends the search.
        """
        found: list[Face] = []
        height, width = image.shape[:2]
        longest = max(width, height)
        for side, turns in _LOOKS:
            if side > _LOOKS[-1][0] and longest <= _LOOKS[-1][0]:
                continue  # the smaller look sees the same
            scale = min(1.0, side / longest)
            image = resize(image, max(1, round(width * scale)), max(1, round(height * scale)))
            pixels = _bgr(image)
            ratio = np.array([image.shape[1] / width, image.shape[0] / height], np.float32)
            for quarters in turns:
                check()
                found += [_scaled(one, ratio) for one in self._look(pixels, quarters)]
        return self._distinct(found)

    def look_closer(self, square: Floats, sure: bool) -> Floats | None:
        """Return the points [5, 2] of the upright face in a square [side, side, 3] in 0..1, as they
        lie on average. None if it is no face: fewer than two looks at it are sure, one of which
        `sure` says was before."""
        side, found = square.shape[0], []
        middle = np.float32(side / 2)
        for small in _CLOSER:
            faces = self._look(_bgr(resize(torch.from_numpy(square), small, small)), 0)
            scale = np.float32(side / small)
            points = [(one.points + 0.5) * scale - 0.5 for one in faces if one.sure]
            points.sort(key=lambda one: float(abs(one.mean(axis=0) - middle).max()))
            if points and abs(points[0].mean(axis=0) - middle).max() < _ASTRAY * side:
                found.append(points[0])
        if len(found) + sure < 2:
            return None
        average: Floats = np.mean(found, axis=0, dtype=np.float32)
        return average

    def _look(self, pixels: npt.NDArray[np.uint8], quarters: int) -> list[Face]:
        """Return the faces of BGR [height, width, 3] that is looked at from another side."""
        turned = np.ascontiguousarray(np.rot90(pixels, quarters))
        self._net.setInputSize((turned.shape[1], turned.shape[0]))
        rows = self._net.detect(turned)[1]
        faces = [_face(row) for row in (() if rows is None else rows) if np.isfinite(row).all()]
        height, width = pixels.shape[:2]
        return [_turned_back(one, quarters, width, height) for one in faces]

    def _distinct(self, faces: list[Face]) -> list[Face]:
        """Return each face once, as it was seen best."""
        if not faces:
            return []
        boxes, scores = [one.box for one in faces], [one.score for one in faces]
        kept = self._cv2.dnn.NMSBoxes(boxes, scores, 0.0, _OVERLAP)
        return [faces[int(index)] for index in np.asarray(kept).reshape(-1)]


def _bgr(image: Tensor) -> npt.NDArray[np.uint8]:
    """Return an image in 0..1 as YuNet has it: bytes, blue first."""
    pixels: npt.NDArray[np.float32] = image.numpy()[..., ::-1] * np.float32(255)
    return np.rint(pixels).astype(np.uint8)


def _face(row: Floats) -> Face:
    """Return what a row of YuNet's result says: box, points, score."""
    left, top, width, height = (float(value) for value in row[:4])
    return Face((left, top, width, height), row[4:14].reshape(5, 2).copy(), float(row[14]))


def _scaled(face: Face, ratio: Floats) -> Face:
    """Return a face of a reduced copy in the image's own pixels."""
    x, y = (float(one) for one in ratio)
    left, top, width, height = face.box
    points = ((face.points + 0.5) / ratio - 0.5).astype(np.float32)
    box = ((left + 0.5) / x - 0.5, (top + 0.5) / y - 0.5, width / x, height / y)
    return Face(box, points, face.score)


def _turned_back(face: Face, quarters: int, width: int, height: int) -> Face:
    """Return a face of an image that `np.rot90` has turned, in the one of `width` x `height`."""
    left, top, wide, high = face.box
    corners = np.array([[left, top], [left + wide, top + high]], np.float32)
    corners, points = (_back(one, quarters, width, height) for one in (corners, face.points))
    low, most = corners.min(axis=0), corners.max(axis=0)
    box = (float(low[0]), float(low[1]), float(most[0] - low[0]), float(most[1] - low[1]))
    return Face(box, points, face.score)


def _back(points: Floats, quarters: int, width: int, height: int) -> Floats:
    x, y = points[:, 0], points[:, 1]
    match quarters:
        case 1:
            x, y = width - 1 - y, x
        case 2:
            x, y = width - 1 - x, height - 1 - y
        case 3:
            x, y = y, height - 1 - x
    return np.stack([x, y], axis=1).astype(np.float32)
