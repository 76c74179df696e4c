"""Small video files, made and read with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 48, 64
_MADE = {}
"""What was encoded, by the ending and options."""


def pixels(index, size=(WIDTH, HEIGHT)):
    """Return frame `index`: smooth colours that move, uint8 [height, width, 3]."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    parts = (x * 3 + 5 * index, 200 - y * 3, np.full_like(x, 60 + 4 * index))
    return np.stack(parts, -1).clip(0, 255).astype(np.uint8)


def make(path, **options):
    """Write a video, encoded once for all tests; `options` are those of `encode`."""
    asked = Path(path).suffix, repr(options)
    if asked not in _MADE:
        encode(path, **options)
        _MADE[asked] = Path(path).read_bytes()
    Path(path).write_bytes(_MADE[asked])
    return path


def encode(
    path,
    *,
    frames=6,
    size=(WIDTH, HEIGHT),
    sound=None,
    times=None,
    turn=0,
    title="",
    tags=None,
    codec="libx264",
    format="yuv420p",
):
    """Write a video of 12 frames a second, or with frames at `times` (1/600 s).

    `tags` are the H.273 numbers of matrix, primaries and transfer, and FFmpeg's range.
    """
    matrix = tags[0] if tags else 6
    with av.open(str(path), "w") as film:
        film.metadata["title"] = title
        stream = film.add_stream(codec, rate=12)
        stream.width, stream.height = size
        stream.pix_fmt = format
        context = stream.codec_context
        if tags:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
                tags
            )
        if times:
            context.time_base = Fraction(1, 600)
        if turn:
            stream.set_display_rotation(turn)
        track = film.add_stream(sound, rate=48_000, layout="stereo") if sound else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels(index, size), "rgb24")
            frame = frame.reformat(format=format, dst_colorspace=matrix)
            frame.pts = times[index] if times else index
            frame.time_base = context.time_base if times else Fraction(1, 12)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if track:
            add_sound(film, track, frames * 4000)


def add_sound(film, track, samples):
    wave = (np.sin(np.arange(samples) / 17) * 0.3).astype(np.float32)
    for start in range(0, samples, 1024):
        part = np.ascontiguousarray(np.stack([wave[start : start + 1024]] * 2))
        frame = av.AudioFrame.from_ndarray(part, "fltp", "stereo")
        frame.sample_rate, frame.pts = 48_000, start
        film.mux(track.encode(frame))
    film.mux(track.encode(None))


def read(path, matrix=6):
    """Return all frames as int arrays [height, width, 3], and their times in seconds."""
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    arrays = [frame.to_ndarray(format="rgb24", src_colorspace=matrix) for frame in frames]
    return [array.astype(int) for array in arrays], [float(frame.time) for frame in frames]


def packets(path):
    """Return the sound's codec and its packets."""
    with av.open(str(path)) as film:
        stream = film.streams.audio[0]
        found = [bytes(packet) for packet in film.demux(stream) if packet.dts is not None]
        return stream.codec_context.codec.canonical_name, found
