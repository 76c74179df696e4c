"""Which of what the detector sees are faces, and how they lie: each is looked at again, upright."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from .align import TEMPLATE, Alignment, align, cut_out
from .detector import Detector, Face

_ROUNDS = 3  # of closer looks; a tilted face is upright after the first or second
_STILL = 32.0  # px of the square by which a face lies elsewhere than it did a round before
_APART = 0.5  # of the larger face's size, between the middles of two faces

Found = tuple[Face, Alignment | str]
"""A face, and how it is brought into the square, or why it cannot be, a few words."""


def find_faces(
    detector: Detector, image: Tensor, check: Callable[[], None] = lambda: None
) -> list[Found]:
    """Return the faces of [height, width, 3] in 0..1, each once, the largest first.

    `check` is called before each look, and what it raises ends the search.
    """
    found: list[Found] = []
    for face in detector.find(image, check):
        check()
        if _is_new(face, found):
            nearer = _look_closer(detector, image, face)
            if nearer is not None and _is_new(nearer[0], found):
                found.append(nearer)
    return sorted(found, key=lambda one: -one[0].size)


def _look_closer(detector: Detector, image: Tensor, face: Face) -> Found | None:
    """Return a face with its points and how it lies as a closer look has them; None for no face.

    The points of a tilted face tell too small a tilt, so that it is upright after some rounds.
    """
    lies, known = align(face), False
    for _ in range(_ROUNDS):
        if isinstance(lies, str):
            return (face, lies) if known or face.sure else None
        points = detector.look_closer(cut_out(image, lies), face.sure)
        if points is None:
            return (face, lies) if known else None
        matrix, before, known = lies.to_image, lies, True
        face = replace(face, points=(points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32))
        lies = align(face)
        if isinstance(lies, Alignment) and _between(before, lies) < _STILL:
            break
    return face, lies


def _between(one: Alignment, other: Alignment) -> float:
    """Return how many px of the square lie between the points of a face as two have it."""
    back, forth = one.to_image, other.to_square
    points = TEMPLATE @ back[:, :2].T + back[:, 2]
    return float(abs(points @ forth[:, :2].T + forth[:, 2] - TEMPLATE).max())


def _is_new(face: Face, found: list[Found]) -> bool:
    """Return whether a face is none of those that were found."""
    middle = face.points.mean(axis=0)
    return all(
        np.hypot(*(middle - one.points.mean(axis=0))) > _APART * max(face.size, one.size)
        for one, _ in found
    )
