"""Video files, one frame at a time."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

av = pytest.importorskip("av")

from tests.nodes import films  # noqa: E402 (needs av)


@pytest.fixture
def video_io(part):
    return part("nodes.video_io")


@pytest.fixture
def copy(part, video_io, tmp_path):
    """Write a video again, its frames changed or not; returns the file and what was told."""

    def run(source, change=lambda pixels: pixels, size=None):
        found = video_io.look(source)
        target = tmp_path / "copy.mp4"
        size = size or (found.width, found.height)
        return target, part("nodes.video_rewrite").rewrite(source, target, found, size, 4, change)

    return run


def difference(one, other):
    """Return by how much two lists of frames differ, in steps of 255."""
    assert len(one) == len(other)
    return max(np.abs(a - b).mean() for a, b in zip(one, other, strict=True))


def test_properties_are_read_before_the_first_frame(video_io, tmp_path):
    found = video_io.look(films.make(tmp_path / "a.mp4", frames=7))
    assert found == video_io.Video(64, 48, frames=7, bits=8, turns=0, matrix=6)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.webm"])
def test_frames_and_times_stay(copy, tmp_path, name):
    codec = {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(name[2:], "libx264")
    source = films.make(tmp_path / name, codec=codec)
    target, written = copy(source)
    before, after = films.read(source), films.read(target)
    assert written.frames == 6
    assert difference(before[0], after[0]) < 2
    assert after[1] == pytest.approx(before[1], abs=0.002)


def test_uneven_times_stay(copy, tmp_path):
    times = [0, 40, 110, 120, 600, 1300]
    target, _ = copy(films.make(tmp_path / "a.mp4", times=times))
    assert films.read(target)[1] == pytest.approx([time / 600 for time in times], abs=0.002)


def test_every_frame_passes_through_once_and_in_order(copy, tmp_path):
    seen = []

    def invert(pixels):
        seen.append(float(pixels[0, :, :, 2].mean()))
        assert pixels.shape == (1, 48, 64, 3)
        assert pixels.dtype == torch.float32
        return 1 - pixels

    source = films.make(tmp_path / "a.mp4")
    target, _ = copy(source, invert)
    assert seen == sorted(seen)
    inverted = [255 - array for array in films.read(source)[0]]
    assert difference(inverted, films.read(target)[0]) < 2


def test_result_may_have_another_size(copy, tmp_path):
    source = films.make(tmp_path / "a.mp4")
    target, _ = copy(source, lambda pixels: pixels.repeat(1, 2, 2, 1), size=(128, 96))
    assert {array.shape for array in films.read(target)[0]} == {(96, 128, 3)}


@pytest.mark.parametrize(
    ("name", "sound", "after"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.mkv", "libopus", "opus"),
        ("a.mkv", "flac", "flac"),
        ("a.avi", "libmp3lame", "mp3"),
    ],
)
def test_sound_is_copied(copy, tmp_path, name, sound, after):
    source = films.make(tmp_path / name, sound=sound)
    target, _ = copy(source)
    assert films.packets(target) == (after, films.packets(source)[1])


@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
def test_sound_that_mp4_does_not_hold_is_encoded(copy, tmp_path, name):
    target, _ = copy(films.make(tmp_path / name, sound="pcm_s16le"))
    assert films.packets(target)[0] == "aac"
    with av.open(str(target)) as made:
        samples = sum(frame.samples for frame in made.decode(audio=0))
    assert samples == pytest.approx(24_000, abs=2048)


@pytest.mark.parametrize(
    ("tags", "format"),
    [((1, 1, 1, 1), "yuv420p"), ((1, 1, 1, 2), "yuvj420p"), ((9, 9, 14, 1), "yuv420p10le")],
)
def test_colours_and_their_tags_stay(copy, tmp_path, tags, format):
    source = films.make(tmp_path / "a.mp4", tags=tags, format=format)
    target, _ = copy(source)
    with av.open(str(target)) as made:
        context = made.streams.video[0].codec_context
        found = (context.colorspace, context.color_primaries, context.color_trc)
        assert found == tags[:3]
        assert context.color_range == 1  # whatever that of the source was
    assert difference(films.read(source, tags[0])[0], films.read(target, tags[0])[0]) < 2


@pytest.mark.parametrize(("height", "matrix"), [(576, 6), (720, 1)])
def test_untagged_colours_are_taken_as_players_take_them(video_io, tmp_path, height, matrix):
    source = films.make(tmp_path / "a.mp4", frames=1, size=(64, height))
    assert video_io.look(source).matrix == matrix


def test_more_than_8_bits_are_told(video_io, tmp_path):
    source = films.make(tmp_path / "a.mp4", format="yuv420p10le")
    assert video_io.look(source).bits == 10


@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot turn a video"
)
def test_frames_of_a_turned_video_are_upright(video_io, copy, tmp_path):
    source = films.make(tmp_path / "a.mov", turn=90)  # counterclockwise, as FFmpeg counts
    assert (video_io.look(source).width, video_io.look(source).height) == (48, 64)
    target, _ = copy(source)
    upright = [np.rot90(array, 1) for array in films.read(source)[0]]
    assert difference(upright, films.read(target)[0]) < 2


def test_titles_stay(copy, tmp_path):
    target, _ = copy(films.make(tmp_path / "a.mkv", title="Holiday"))
    with av.open(str(target)) as made:
        assert made.metadata["title"] == "Holiday"


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99])
def test_other_files_are_refused(video_io, part, tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    error = part("upscale_bridge.errors").InvalidInputError
    with pytest.raises(error, match=r"The video cannot be read .*; export it again"):
        video_io.look(tmp_path / "a.mp4")


def test_sound_alone_is_refused(video_io, part, tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as sound:
        films.add_sound(sound, sound.add_stream("aac", rate=48_000, layout="stereo"), 4096)
    error = part("upscale_bridge.errors").InvalidInputError
    with pytest.raises(error, match="has no frames"):
        video_io.look(tmp_path / "a.mp4")


def test_a_file_that_was_cut_off_gives_what_there_is(copy, tmp_path):
    whole = films.make(tmp_path / "whole.mkv", frames=240).read_bytes()
    source = tmp_path / "cut.mkv"
    source.write_bytes(whole[: len(whole) // 2])
    _, written = copy(source)
    assert 0 < written.frames < 240


def test_damaged_parts_are_left_out_and_told(copy, tmp_path):
    data = bytearray(films.make(tmp_path / "a.mkv", frames=240).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    (tmp_path / "damaged.mkv").write_bytes(data)
    _, written = copy(tmp_path / "damaged.mkv")
    assert 100 < written.frames < 240 or written.damaged


def test_nothing_is_left_when_a_frame_fails(copy, tmp_path):
    source = films.make(tmp_path / "a.mp4")

    def fail(pixels):
        raise KeyError("stop")

    with pytest.raises(KeyError):
        copy(source, fail)
    assert not (tmp_path / "copy.mp4").exists()


def test_a_full_disk_is_told(video_io, part, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    source, target = films.make(tmp_path / "a.mp4"), tmp_path / "full.mp4"
    target.symlink_to("/dev/full")
    found = video_io.look(source)
    with pytest.raises(part("upscale_bridge.errors").SettingsError, match="free some space"):
        part("nodes.video_rewrite").rewrite(
            source, target, found, (64, 48), 4, lambda pixels: pixels
        )


def test_a_frame_is_encoded_while_the_next_is_enlarged(copy, tmp_path, monkeypatch):
    source, started, frames = films.make(tmp_path / "a.mp4"), threading.Event(), []
    made = av.VideoFrame.from_ndarray

    def encode(*args):
        assert started.wait(30), "the second frame waits for the first to be written"
        return made(*args)

    def enlarge(pixels):
        frames.append(pixels)
        if len(frames) > 1:
            started.set()
        return pixels

    monkeypatch.setattr("av.VideoFrame.from_ndarray", encode)
    assert copy(source, enlarge)[1].frames == 6


MEMORY = """
import importlib, importlib.util, resource, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("pack", sys.argv[1] + "/__init__.py")
sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pack"])
video_io = importlib.import_module("pack.nodes.video_io")
video_rewrite = importlib.import_module("pack.nodes.video_rewrite")
for source in map(Path, sys.argv[2:]):
    target, found = source.with_name("out.mp4"), video_io.look(source)
    video_rewrite.rewrite(source, target, found, (320, 240), 30, lambda p: p)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_memory_does_not_grow_with_the_length(tmp_path):
    root = Path(__file__).resolve().parents[2]
    sources = [
        films.make(tmp_path / f"{frames}.mp4", frames=frames, size=(320, 240))
        for frames in (60, 200)
    ]
    command = [sys.executable, "-c", MEMORY, root, *sources]
    peaks = subprocess.run(command, capture_output=True, check=True).stdout.split()
    # x264 looks 40 frames ahead. 140 more, kept as tensors, would be 129 MB.
    assert int(peaks[1]) - int(peaks[0]) < 50e6
