"""Video files, one frame in memory at a time; alone in importing av, which ComfyUI brings along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.errors import InvalidInputError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor

# Numbers of ITU-T H.273, which FFmpeg and files use.
_UNSPECIFIED, _RGB = 2, 0
_BT_601, _BT_709 = 6, 1
_LIMITED_RANGE = 1
_SD_HEIGHT = 576  # players take untagged frames up to this height for BT.601, others for BT.709

_MP4_SOUND = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}  # which players find in MP4
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # others are mixed down
_USUAL_RATE = 25
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
                    pixels = _upright(frame, round(frame.rotation / 90) % 4, _matrix(frame))
                    return torch.from_numpy(pixels).float().div(255)[None], frame.time or 0.0
    except (av.FFmpegError, IndexError):  # nothing to show, or no frames
        return None
    return None


def _upright(frame: Any, turns: int, matrix: int) -> Any:
    """Return a frame as uint8 [height, width, 3]."""
    import numpy as np

    pixels = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    return np.ascontiguousarray(np.rot90(pixels, turns))


@dataclass(frozen=True)
class Written:
    """What became of a video."""

    frames: int
    damaged: int
    """Packets that could not be decoded and were left out."""


def rewrite(
    source: Path,
    target: Path,
    video: Video,
    size: tuple[int, int],
    crf: int,
    change: Callable[[Tensor], Tensor],
) -> Written:
    """Write `target`, an MP4 (H.264) whose frames have passed through `change`.

    `change` gets and returns float32 [1, height, width, 3] in 0..1; `size` (width, height), both
    even, is that of what it returns. `crf` is x264's, 0..51. Times, sound, colours and titles are
    those of the source, which `video` describes. Raises `SettingsError` when the file cannot be
    written, and what `change` raises; then nothing is left of the target.
    """
    import av

    try:
        with (
            av.open(str(source)) as reading,
            av.open(str(target), "w", "mp4", options={"movflags": "use_metadata_tags"}) as writing,
        ):
            writing.metadata.update(reading.metadata)
            frames = _Frames(writing, reading.streams.video[0], video, size, crf, change)
            tracks: dict[Any, _Track] = {reading.streams.video[0]: frames}
            for stream in reading.streams.audio:
                if stream.codec_context is not None:  # else FFmpeg does not know what it is
                    copied = stream.codec_context.codec.canonical_name in _MP4_SOUND
                    tracks[stream] = (_Copied if copied else _Encoded)(writing, stream)
            for packet in _packets(reading, list(tracks)):
                tracks[packet.stream].take(packet)
            for track in tracks.values():
                track.finish()
            return Written(frames.count, sum(track.damaged for track in tracks.values()))
    except av.FFmpegError as error:
        target.unlink(missing_ok=True)
        raise SettingsError(
            f"The video cannot be written to {target.parent} ({error.strerror}); free some space."
        ) from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class _Track:
    """One stream on its way into the new file."""

    def __init__(self, writing: Any, stream: Any) -> None:
        self._writing = writing
        self._stream = stream
        self.damaged = 0

    def take(self, packet: Any) -> None:
        """Encode what a packet holds."""
        import av

        try:
            frames = packet.decode()
        except av.FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            self._writing.mux(self._stream.encode(self.change(frame)))

    def change(self, frame: Any) -> Any:
        """Return what to write for a decoded frame."""
        return frame

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._writing.mux(self._stream.encode(None))


class _Encoded(_Track):
    """Sound in a format that belongs into other files."""

    def __init__(self, writing: Any, source: Any) -> None:
        layout = _LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo")
        super().__init__(writing, writing.add_stream("aac", rate=source.rate, layout=layout))
        self._unit = Fraction(1, source.rate)
        self._time: int | None = None

    def change(self, frame: Any) -> Any:
        if self._time is None:
            self._time = round((frame.time or 0) / self._unit)
        # Times of packets may be rounded to the same unit of a file, which encoders do not take.
        frame.pts, frame.time_base = self._time, self._unit
        self._time += frame.samples
        return frame


class _Copied(_Track):
    """Sound that stays as it is."""

    def __init__(self, writing: Any, source: Any) -> None:
        super().__init__(writing, writing.add_stream_from_template(source))

    def take(self, packet: Any) -> None:
        if packet.dts is not None:  # else it only says that no more will come
            packet.stream = self._stream
            self._writing.mux(packet)

    def finish(self) -> None:
        """No encoder holds anything."""


class _Frames(_Track):
    """The frames, which pass through `change_pixels`."""

    def __init__(
        self,
        writing: Any,
        source: Any,
        video: Video,
        size: tuple[int, int],
        crf: int,
        change_pixels: Callable[[Tensor], Tensor],
    ) -> None:
        rate = source.average_rate or source.guessed_rate or _USUAL_RATE
        stream = writing.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        super().__init__(writing, stream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        context, given = stream.codec_context, source.codec_context
        context.time_base = source.time_base
        context.colorspace, context.color_range = video.matrix, _LIMITED_RANGE
        context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
        if pixel := source.sample_aspect_ratio:
            context.sample_aspect_ratio = 1 / pixel if video.turns % 2 else pixel
        source.thread_type = "AUTO"
        self._video, self._change_pixels = video, change_pixels
        self._time = source.start_time or 0  # the earliest for the next frame
        self._step = max(1, round(1 / (rate * source.time_base)))
        self.count = 0

    def change(self, frame: Any) -> Any:
        import av
        import torch

        from ..upscale_bridge.images.codecs import to_uint8

        matrix = self._video.matrix
        upright = _upright(frame, self._video.turns, matrix)
        changed = self._change_pixels(torch.from_numpy(upright).float().div(255)[None])[0]
        made = av.VideoFrame.from_ndarray(to_uint8(changed), "rgb24")
        made = made.reformat(format="yuv420p", dst_colorspace=matrix)
        known = frame.pts is not None
        made.time_base = frame.time_base
        made.pts = max(frame.pts, self._time) if known else self._time
        self._time = made.pts + (1 if known else self._step)
        self.count += 1
        return made


def _packets(reading: Any, streams: list[Any]) -> Iterator[Any]:
    """Yield all packets of `streams`; a file that was cut off ends where it was cut."""
    import av

    try:
        yield from reading.demux(streams)
    except av.FFmpegError:
        return


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
