"""What a video file is and shows; av comes with ComfyUI."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor

# Numbers of ITU-T H.273, which FFmpeg and files use.
_UNSPECIFIED, _RGB = 2, 0
_BT_601, _BT_709 = 6, 1
_SD_HEIGHT = 576  # players take untagged frames up to this height for BT.601, others for BT.709

_MOST_FRAMES = 120  # that are decoded to reach one that is shown
_SAME_TIME = 0.01  # seconds by which times of one frame may differ between two files


@dataclass(frozen=True)
class Video:
    """What must be known of a video before its first frame is written."""

    width: int
    height: int
    """Of an upright frame, pixels."""
    frames: int
    """About how many frames there are, 0 when the file does not tell."""
    bits: int
    """Per channel."""
    turns: int
    """Quarter turns counterclockwise that make a frame upright, 0..3."""
    matrix: int
    """Which kind of YUV its frames are."""


def look(source: Path) -> Video:
    """Read a video's properties; raises `InvalidInputError` when it has no frames."""
    import av

    try:
        with av.open(str(source)) as reading:
            frame = next(reading.decode(video=0), None) if reading.streams.video else None
            if frame is None:
                raise InvalidInputError("video", "The video has no frames; export it again.")
            turns = round(frame.rotation / 90) % 4
            width, height = frame.width, frame.height
            return Video(
                *((height, width) if turns % 2 else (width, height)),
                frames=_count(reading),
                bits=max(part.bits for part in frame.format.components),
                turns=turns,
                matrix=_matrix(frame),
            )
    except av.FFmpegError as error:
        raise InvalidInputError(
            "video", f"The video cannot be read ({error.strerror}); export it again, as MP4 say."
        ) from error


def pair(source: Path, made: Path) -> tuple[Tensor, Tensor] | None:
    """Return a frame of two videos at the same time, each float32 [1, height, width, 3] in 0..1.

    It is one near the middle, since many videos begin in black. None when there is none.
    """
    before = _frame(source)
    after = before and _frame(made, before[1])
    return (before[0], after[0]) if before and after else None


def _frame(source: Path, time: float | None = None) -> tuple[Tensor, float] | None:
    """Return the first frame at or after a time, seconds, and its time.

    Without a time it is the last one before the middle that can be decoded by itself.
    """
    import av
    import torch

    try:
        with av.open(str(source)) as reading:
            middle = (reading.duration or 0) / 2 / av.time_base
            wanted = middle if time is None else time
            reading.streams.video[0].thread_type = "AUTO"
            reading.seek(int(wanted * av.time_base))
            for frame in islice(reading.decode(video=0), _MOST_FRAMES):
                if time is None or frame.time is None or frame.time > time - _SAME_TIME:
                    pixels = upright(frame, round(frame.rotation / 90) % 4, _matrix(frame))
                    return torch.from_numpy(pixels).float().div(255)[None], frame.time or 0.0
    except (av.FFmpegError, IndexError):  # nothing to show, or no frames
        return None
    return None


def upright(frame: Any, turns: int, matrix: int) -> Any:
    """Return a frame of PyAV, turned by quarters, as uint8 [height, width, 3]."""
    import numpy as np

    pixels = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    return np.ascontiguousarray(np.rot90(pixels, turns))


def _count(reading: Any) -> int:
    """Return about how many frames a file has, 0 when it does not tell."""
    import av

    stream = reading.streams.video[0]
    if stream.frames or not (reading.duration and stream.average_rate):
        return int(stream.frames)
    return round(float(reading.duration / av.time_base * stream.average_rate))


def _matrix(frame: Any) -> int:
    """Return the H.273 number of a frame's YUV; for RGB, that of the YUV to write."""
    if frame.colorspace == _UNSPECIFIED:
        return _BT_601 if frame.height <= _SD_HEIGHT else _BT_709
    return _BT_709 if frame.colorspace == _RGB else int(frame.colorspace)
