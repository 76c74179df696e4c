"""Videos made from videos, a few frames in memory at a time; av comes with ComfyUI."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..upscale_bridge.errors import SettingsError
from .video_io import Video, upright

if TYPE_CHECKING:
    from torch import Tensor

_LIMITED_RANGE = 1  # ITU-T H.273
_MP4_SOUND = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}  # which players find in MP4
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # others are mixed down
_USUAL_RATE = 25


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
            with _Writer(writing) as writer:
                frames = _Frames(writer, reading.streams.video[0], video, size, crf, change)
                tracks: dict[Any, _Track] = {reading.streams.video[0]: frames}
                for stream in reading.streams.audio:
                    if stream.codec_context is not None:  # else FFmpeg does not know what it is
                        copied = stream.codec_context.codec.canonical_name in _MP4_SOUND
                        tracks[stream] = (_Copied if copied else _Encoded)(writer, stream)
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


class _Writer:
    """One thread that encodes and writes, in order, while the next frame is enlarged."""

    _MOST_WAITING = 2

    def __init__(self, file: Any) -> None:
        self.file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="upscale-video")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            while not kind and self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def encode(self, stream: Any, frame: Callable[[], Any]) -> None:
        """Encode what `frame` makes into a stream; raises what an earlier call ran into."""
        self._do(lambda: self.file.mux(stream.encode(frame())))

    def copy(self, packet: Any) -> None:
        """Write a packet as it is; raises what an earlier call ran into."""
        self._do(partial(self.file.mux, packet))

    def _do(self, work: Callable[[], None]) -> None:
        while len(self._waiting) >= self._MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(work))


class _Track:
    """One stream on its way into the new file."""

    def __init__(self, writer: _Writer, stream: Any) -> None:
        self._writer = writer
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
            self._writer.encode(self._stream, self.change(frame))

    def change(self, frame: Any) -> Callable[[], Any]:
        """Return what makes of a decoded frame the one to write."""
        return lambda: frame

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._writer.encode(self._stream, lambda: None)


class _Encoded(_Track):
    """Sound in a format that belongs into other files."""

    def __init__(self, writer: _Writer, source: Any) -> None:
        layout = _LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo")
        super().__init__(writer, writer.file.add_stream("aac", rate=source.rate, layout=layout))
        self._unit = Fraction(1, source.rate)
        self._time: int | None = None

    def change(self, frame: Any) -> Callable[[], Any]:
        if self._time is None:
            self._time = round((frame.time or 0) / self._unit)
        # Times of packets may be rounded to the same unit of a file, which encoders do not take.
        frame.pts, frame.time_base = self._time, self._unit
        self._time += frame.samples
        return lambda: frame


class _Copied(_Track):
    """Sound that stays as it is."""

    def __init__(self, writer: _Writer, source: Any) -> None:
        super().__init__(writer, writer.file.add_stream_from_template(source))

    def take(self, packet: Any) -> None:
        if packet.dts is not None:  # else it only says that no more will come
            packet.stream = self._stream
            self._writer.copy(packet)

    def finish(self) -> None:
        """No encoder holds anything."""


class _Frames(_Track):
    """The frames, which pass through `change_pixels`."""

    def __init__(
        self,
        writer: _Writer,
        source: Any,
        video: Video,
        size: tuple[int, int],
        crf: int,
        change_pixels: Callable[[Tensor], Tensor],
    ) -> None:
        rate = source.average_rate or source.guessed_rate or _USUAL_RATE
        stream = writer.file.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        super().__init__(writer, stream)
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

    def change(self, frame: Any) -> Callable[[], Any]:
        import torch

        from ..upscale_bridge.images.codecs import to_uint8

        pixels = upright(frame, self._video.turns, self._video.matrix)
        changed = self._change_pixels(torch.from_numpy(pixels).float().div(255)[None])[0]
        known = frame.pts is not None
        time = max(frame.pts, self._time) if known else self._time
        self._time = time + (1 if known else self._step)
        self.count += 1
        return partial(self._made, to_uint8(changed), time, frame.time_base)

    def _made(self, pixels: Any, time: int, unit: Fraction) -> Any:
        import av

        made = av.VideoFrame.from_ndarray(pixels, "rgb24")
        made = made.reformat(format="yuv420p", dst_colorspace=self._video.matrix)
        made.pts, made.time_base = time, unit
        return made


def _packets(reading: Any, streams: list[Any]) -> Iterator[Any]:
    """Yield all packets of `streams`; a file that was cut off ends where it was cut."""
    import av

    try:
        yield from reading.demux(streams)
    except av.FFmpegError:
        return
