"""Format, size and length of videos, read without a decoder."""

import random
import struct
import time

import pytest

from tests.fakes.videos import FRAMES, SOUND, WHOLE, box, matroska, movie, mp4, track
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images.videos import MIMES, Header, read_header, sniff

UNKNOWN = (1 << 56) - 1
GOOD = {
    "usual": (WHOLE, Header("mp4", 64, 48, 2.5)),
    "list of frames first": (mp4(movie(track(64, 48)), FRAMES), Header("mp4", 64, 48, 2.5)),
    "wide sizes": (
        mp4(box(b"mdat", bytes(9), wide=True), movie(track(64, 48, version=1), version=1)),
        Header("mp4", 64, 48, 2.5),
    ),
    "upright": (mp4(movie(track(64, 48, turned=True))), Header("mp4", 48, 64, 2.5)),
    "no length": (mp4(movie(track(64, 48), ticks=0)), Header("mp4", 64, 48)),
    "unknown length": (mp4(movie(track(64, 48), ticks=2**32 - 1)), Header("mp4", 64, 48)),
    "no scale": (mp4(movie(track(64, 48), scale=0)), Header("mp4", 64, 48)),
    "to the end": (
        mp4(movie(track(64, 48)), struct.pack(">I4s", 0, b"mdat") + bytes(50)),
        Header("mp4", 64, 48, 2.5),
    ),
    "something behind": (WHOLE + b"TAGabc" + bytes(20), Header("mp4", 64, 48, 2.5)),
    "a few bytes behind": (WHOLE + b"\n", Header("mp4", 64, 48, 2.5)),
    "fragments": (
        mp4(movie(track(64, 48), ticks=0), *[box(b"moof") + FRAMES] * 9000),
        Header("mp4", 64, 48),
    ),
    "QuickTime": (mp4(FRAMES, movie(track(64, 48)), brand=b"qt  "), Header("mov", 64, 48, 2.5)),
    "old QuickTime": (FRAMES + movie(track(64, 48)), Header("mov", 64, 48, 2.5)),
    "WebM": (matroska(), Header("webm", 64, 48, 1.5)),
    "Matroska": (matroska(b"matroska"), Header("mkv", 64, 48, 1.5)),
    "other scale": (matroska(scale=10**9, length=3.0), Header("webm", 64, 48, 3.0)),
    "while it is recorded": (matroska(size=UNKNOWN, length=None), Header("webm", 64, 48)),
    "not a number": (matroska(length=float("nan")), Header("webm", 64, 48)),
    "bytes behind Matroska": (matroska(after=bytes(40)), Header("webm", 64, 48, 1.5)),
}
BAD = {
    "empty": (b"", "is empty"),
    "a web page": (b"<!DOCTYPE html><html>" + bytes(200), "not a video of a format"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not a video of a format"),
    "JSON": (b'{"error": "gone"}', "not a video of a format"),
    "AVI": (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(99), "not a video of a format"),
    "cut off in its frames": (mp4(movie(track(64, 48)), FRAMES)[:-1], "larger than the file"),
    "cut off before its list": (mp4(FRAMES), "list of its frames is missing"),
    "cut off in its list": (WHOLE[:-1], "larger than the file"),
    "sound alone": (mp4(FRAMES, movie(SOUND)), "no frames"),
    "a picture as HEIF": (box(b"ftyp", b"avif", bytes(8)) + box(b"meta", bytes(9)), "is missing"),
    "empty movie header": (mp4(box(b"moov", box(b"mvhd"))), "damaged"),
    "a part beyond all places": (
        mp4(box(b"moov", box(b"trak", struct.pack(">I4sQ", 1, b"mdia", 2**64 - 1), bytes(40)))),
        "damaged",
    ),
    "no size": (mp4(struct.pack(">I4s", 4, b"moov")), "has no size"),
    "Matroska that is cut off": (matroska()[:-1], "larger than the file"),
    "Matroska in its head": (matroska()[:30], "damaged or cut off"),
    "Matroska of sound alone": (matroska(video=False), "no frames"),
}


@pytest.fixture
def header(tmp_path):
    def read(data):
        path = tmp_path / "video"
        path.write_bytes(data)
        return read_header(path, "clip.mp4")

    return read


@pytest.mark.parametrize("case", GOOD)
def test_what_a_file_says(header, case):
    data, expected = GOOD[case]
    assert header(data) == expected
    assert sniff(data[:64]) == expected.format


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_video_is_refused_in_one_sentence(header, case):
    data, words = BAD[case]
    with pytest.raises(InvalidInputError, match=rf"^clip\.mp4 .*{words}") as caught:
        header(data)
    assert caught.value.name == "clip.mp4"
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidInputError, match="Cannot read clip"):
        read_header(tmp_path / "none.mp4", "clip.mp4")
    with pytest.raises(InvalidInputError, match="Cannot read clip"):
        read_header(tmp_path, "clip.mp4")


def test_damaged_files_are_refused_or_read_and_nothing_else(header):
    chance, good = random.Random(7), [data for data, _ in GOOD.values() if len(data) < 5000]
    for _ in range(3000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 8, 255, chance.randrange(256)))
        try:
            found = header(bytes(data[: chance.randint(1, len(data))]))
        except InvalidInputError:
            continue
        assert found.format in MIMES
        assert found.width >= 0 <= found.height
        assert found.seconds is None or found.seconds > 0


def test_a_file_of_nothing_but_parts_takes_no_time(header):
    many = box(b"trak", box(b"mdia", box(b"free") * 2000) * 20) * 200
    started = time.monotonic()
    with pytest.raises(InvalidInputError):
        header(mp4(box(b"free") * 200_000, box(b"moov", many)))
    with pytest.raises(InvalidInputError):
        header(mp4(box(b"moov", many)))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", ""), ("mov", ""), ("mkv", ""), ("webm", "vp9")]
)
def test_files_of_ffmpeg(tmp_path, ending, codec):
    pytest.importorskip("av")
    from tests.nodes import films

    options = {"codec": "libvpx-vp9"} if codec else {"sound": "aac"}
    path = films.make(tmp_path / f"a.{ending}", frames=24, **options)
    found = read_header(path)
    assert (found.format, found.width, found.height) == (ending, 64, 48)
    assert found.seconds == pytest.approx(2, abs=0.05)


def test_a_turned_file_of_ffmpeg(tmp_path):
    pytest.importorskip("av")
    from tests.nodes import films

    found = read_header(films.make(tmp_path / "a.mp4", turn=90))
    assert (found.width, found.height) == (48, 64)
