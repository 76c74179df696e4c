"""Faces brought upright into a square as FFHQ has them, and back into their image.

What goes back is the difference that a model made, so that a face that it leaves as it is does not
change at all. The texture that a square of 512 px cannot hold stays where the model changed
nothing to speak of, and goes where it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...images.resample import resize
from .detector import Face
from .model import SIDE
from .opencv import import_opencv

Floats = npt.NDArray[np.float32]

TEMPLATE = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ],
    np.float32,
)
"""Where a face of FFHQ has its five points in a square of 512 px, as facexlib's
face_restoration_helper.py has it."""

_BESIDE = (132 / 255, 133 / 255, 135 / 255)  # of the image, RGB; the gray of facexlib
_RIM = SIDE // 20  # px that fade at each side, and that are left before them; as in facexlib
_SMALLEST = 20.0  # side of the square in the image, px; its eyes are 5 px apart, as in the WebUI
_FARTHEST = 100.0  # px between a point of a face and the template's; half of it in a profile
_MARGIN = 8  # px around what is resampled, more than the filters see
_BLOCK = 1024  # side of what is computed at once, px
_KEPT, _GONE = 2 / 255, 10 / 255  # changes up to which texture stays, and from which on it goes


@dataclass(frozen=True)
class Alignment:
    """How an upright square of 512 px lies in an image."""

    to_square: npt.NDArray[np.float64]
    """[2, 3]: from x, y in the image to x, y in the square, without shear."""

    @property
    def to_image(self) -> npt.NDArray[np.float64]:
        """The way back."""
        whole = np.vstack([self.to_square, [0.0, 0.0, 1.0]])
        back: npt.NDArray[np.float64] = np.linalg.inv(whole)[:2]
        return back


def align(face: Face) -> Alignment | str:
    """Return how a face is brought into the square, or why it cannot be, a few words."""
    points = face.points
    if not np.isfinite(points).all():
        return "its points are no numbers"
    cv2 = import_opencv()
    matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)
    if matrix is None or not np.isfinite(matrix).all() or not _scale(matrix):
        return "its points do not tell how it lies"
    if SIDE / _scale(matrix) < _SMALLEST:
        return f"it is too small, {face.size:.0f} px"
    off = points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE
    if float(np.hypot(off[:, 0], off[:, 1]).max()) > _FARTHEST:
        return "its points do not lie as those of a face"
    return Alignment(matrix)


def cut_out(image: Tensor, alignment: Alignment) -> Floats:
    """Return the square [512, 512, 3] in 0..1 of a face in [height, width, 3]; gray beside it."""
    square = _warp(image, alignment.to_square, (SIDE, SIDE), _BESIDE)
    return np.clip(square, 0.0, 1.0)


def put_back(
    image: Tensor,
    before: Floats,
    after: Floats,
    alignment: Alignment,
    visibility: float,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Bring what happened to a square into `image` [height, width, 1 or 3] in 0..1, in place.

    `before` and `after` are [512, 512, 3]; `visibility` is the share of the change. Nothing beyond
    the square's box is looked at; `check` is called before each block of it.
    """
    change = np.concatenate([(after - before) / 2 + 0.5, _mask()[..., None]], axis=-1)
    moving, source = torch.from_numpy(change), torch.from_numpy(before)
    for left, top, right, bottom in _blocks(alignment, image.shape[1], image.shape[0]):
        check()
        place = image[top:bottom, left:right]
        back, size = alignment.to_image.copy(), (right - left, bottom - top)
        back[:, 2] -= (left, top)
        moved = _warp(moving, back, size, (0.5, 0.5, 0.5, 0.0))
        changed, mask = moved[..., :3] * 2 - 1, np.clip(moved[..., 3:], 0.0, 1.0) * visibility
        if not mask.any():
            continue
        texture = place.numpy() - _warp(source, back, size, _BESIDE)
        most = np.abs(changed).max(axis=-1, keepdims=True)
        changed = changed - np.clip((most - _KEPT) / (_GONE - _KEPT), 0.0, 1.0) * texture
        update = torch.from_numpy(changed * mask)
        if image.shape[-1] == 1:
            update = update.mean(dim=-1, keepdim=True)
        place.add_(update).clamp_(0.0, 1.0)


def _blocks(alignment: Alignment, width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield left, top, right and bottom of the parts of the image in which a square lies."""
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]) - 0.5
    matrix = alignment.to_image
    found = corners @ matrix[:, :2].T + matrix[:, 2]
    left, top = (max(0, int(value)) for value in np.floor(found.min(axis=0)))
    right, bottom = np.ceil(found.max(axis=0)) + 1
    right, bottom = min(width, int(right)), min(height, int(bottom))
    for y in range(top, bottom, _BLOCK):
        for x in range(left, right, _BLOCK):
            yield x, y, min(x + _BLOCK, right), min(y + _BLOCK, bottom)


def _warp(
    pixels: Tensor, matrix: npt.NDArray[Any], size: tuple[int, int], beside: tuple[float, ...]
) -> Floats:
    """Return [height, width, 3 or 4] of `size` (width, height) through a matrix [2, 3].

    Only what is seen of `pixels`, 0..1, is touched. What becomes smaller is resized before by
    Lanczos, which takes all of it in, so that nothing flickers.
    """
    cv2 = import_opencv()
    matrix = np.array(matrix, np.float64)
    corners = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]]) - 0.5
    inverse = np.linalg.inv(matrix[:, :2])
    seen = (corners - matrix[:, 2]) @ inverse.T
    scale = min(1.0, _scale(matrix))
    margin = _MARGIN / scale
    height, width = pixels.shape[:2]
    left, top = (max(0, int(value)) for value in np.floor(seen.min(axis=0) - margin))
    right, bottom = np.ceil(seen.max(axis=0) + margin)
    right, bottom = min(width, int(right)), min(height, int(bottom))
    if right <= left or bottom <= top:
        return np.full((size[1], size[0], len(beside)), beside, np.float32)
    part = pixels[top:bottom, left:right]
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    if scale < 1:
        small = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        ratio = np.array([part.shape[1] / small[0], part.shape[0] / small[1]])
        matrix[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
        matrix[:, :2] *= ratio
        part = resize(part, *small)
    # Around the image it goes on for a few px, or the filter would mix in what is beside.
    matrix[:, 2] -= matrix[:, :2] @ (_MARGIN, _MARGIN)
    framed = cv2.copyMakeBorder(
        np.ascontiguousarray(part.numpy()), *[_MARGIN] * 4, cv2.BORDER_REPLICATE
    )
    warped: Floats = cv2.warpAffine(
        framed,
        matrix,
        size,
        flags=cv2.INTER_LANCZOS4,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=beside,
    )
    return warped


def _scale(matrix: npt.NDArray[Any]) -> float:
    """Return how many times as large a similarity makes things."""
    return float(abs(np.linalg.det(matrix[:, :2])) ** 0.5)


@lru_cache(maxsize=1)
def _mask() -> Floats:
    """Return the weights [512, 512] of a square that goes back: facexlib's, that of a square
    without its rim, blurred over as much again."""
    cv2 = import_opencv()
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[_RIM : SIDE - _RIM, _RIM : SIDE - _RIM] = 1.0
    blurred: Floats = cv2.GaussianBlur(mask, (2 * _RIM + 1, 2 * _RIM + 1), 0)
    return blurred
