"""OpenCV, which finds faces and turns them: the only module that imports cv2.

It is optional. Many hosts bring it along; nobody's numpy is changed for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import EngineError

_OLDEST = (4, 9)  # the first whose detector takes a model from memory


def import_opencv() -> Any:
    """Import cv2, or raise `EngineError` that says how to install it."""
    if text := missing_opencv():
        raise EngineError(text)
    import cv2

    return cv2


def missing_opencv() -> str:
    """Return what is wrong with OpenCV here and what to do, one sentence; empty if nothing is."""
    try:
        import cv2
    except ImportError as error:
        return f"Faces are found by OpenCV, which cannot be used ({error}); {_advice()}."
    version = str(cv2.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        return f"Faces are found by OpenCV 4.9 or newer, and {version} is here; {_advice()}."
    if not hasattr(cv2, "FaceDetectorYN"):
        return f"This OpenCV ({version}) was built without its detector of faces; {_advice()}."
    return ""


def _advice() -> str:
    """Return the command that installs it; newer ones would replace a numpy below 2."""
    old = int(np.__version__.split(".")[0]) < 2
    return f'install it with `pip install "opencv-python-headless{"<4.12" if old else ">=4.9"}"`'


@contextmanager
def quiet(cv2: Any) -> Iterator[None]:
    """Let OpenCV print errors alone: version 5 warns of each model that it has loaded.

    Version 4 does not, and has nothing that could be set.
    """
    logging = getattr(cv2.utils, "logging", None)
    if logging is None:
        yield
        return
    before = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        logging.setLogLevel(before)
