"""What becomes of one file: read, enlarged, written whole or not at all."""

import io
import os
import sys

import pytest
from PIL import Image, ImageCms

from upscale_bridge import LocalUpscale, Monitor, Service, batch
from upscale_bridge.batch import FileJob, OutputOptions
from upscale_bridge.errors import InvalidInputError, SettingsError
from upscale_bridge.images import codecs

TWICE = LocalUpscale(scale_factor=2)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the file, so that the shipped model is loaded once."""
    folder = tmp_path_factory.mktemp("models")
    return Service(lambda: [folder])


@pytest.fixture
def run(service, tmp_path):
    """Enlarge tmp_path/<source> twice into tmp_path/out/<target>; return (done, target)."""

    def enlarge(source, target=None, **output):
        job = FileJob(tmp_path / source, tmp_path / "out" / (target or source))
        return batch.run_job(job, TWICE, OutputOptions(**output), service, Monitor()), job.target

    return enlarge


def picture(path, mode="RGB", **options):
    image = Image.linear_gradient("L").resize((10, 8)).convert(mode)
    image.save(path, **options)
    return path


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_file_is_enlarged_and_reported(run, tmp_path):
    picture(tmp_path / "a.png")
    done, target = run("a.png")
    assert done.status == "done"
    assert done.info["size"] == (20, 16)
    assert "10 x 8 -> 20 x 16" in done.summary
    with Image.open(target) as image:
        assert (image.size, image.mode, image.format) == ((20, 16), "RGB", "PNG")
    assert files(target.parent) == ["a.png"]


def test_result_that_is_there_is_skipped_before_anything_is_read(tmp_path):
    target = tmp_path / "a.png"
    target.write_bytes(b"kept")
    job = FileJob(tmp_path / "missing.png", target)
    done = batch.run_job(job, TWICE, OutputOptions(), None, Monitor())
    assert (done.status, done.info) == ("skipped", {})
    assert target.read_bytes() == b"kept"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
@pytest.mark.parametrize("metadata", [True, False])
def test_colour_profile_is_always_kept(run, tmp_path, name, metadata):
    picture(tmp_path / name, icc_profile=PROFILE)
    _, target = run(name, metadata=metadata)
    assert codecs.decode(target.read_bytes()).icc == PROFILE


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("metadata", [True, False])
def test_exif_is_kept_unless_stripped(run, tmp_path, name, metadata):
    exif = Image.Exif()
    exif[0x010E] = "a gradient"  # ImageDescription
    picture(tmp_path / name, exif=exif)
    _, target = run(name, metadata=metadata)
    with Image.open(target) as image:
        assert image.getexif().get(0x010E) == ("a gradient" if metadata else None)


def test_alpha_into_jpeg_is_refused_before_the_computing(tmp_path):
    image = Image.new("RGBA", (9, 9), (1, 2, 3, 255))
    image.putpixel((4, 4), (1, 2, 3, 254))
    image.save(tmp_path / "a.png")
    job = FileJob(tmp_path / "a.png", tmp_path / "out/a.jpg")
    with pytest.raises(InvalidInputError, match="transparency"):
        batch.run_job(job, TWICE, OutputOptions(), None, Monitor())
    assert files(tmp_path / "out") == []


def test_missing_source_is_named(run):
    with pytest.raises(InvalidInputError, match=r"Cannot read .*none\.png"):
        run("none.png")


def test_failing_encode_leaves_no_file(run, tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise InvalidInputError("format", "It does not fit.")

    picture(tmp_path / "a.png")
    monkeypatch.setattr(batch.codecs, "encode", fail)
    with pytest.raises(InvalidInputError, match="does not fit"):
        run("a.png")
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_full_disk_leaves_neither_part_nor_temporary_file(run, tmp_path, monkeypatch, overwrite):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    if overwrite:
        (tmp_path / "out/a.png").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match="No space left"):
        run("a.png", overwrite=overwrite)
    assert files(tmp_path / "out") == (["a.png"] if overwrite else [])
    assert not overwrite or (tmp_path / "out/a.png").read_bytes() == b"old"


def test_target_made_by_another_program_meanwhile_is_left(run, tmp_path, monkeypatch):
    encode = codecs.encode

    def slow(*arguments, **options):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/a.png").write_bytes(b"theirs")
        return encode(*arguments, **options)

    picture(tmp_path / "a.png")
    monkeypatch.setattr(batch.codecs, "encode", slow)
    with pytest.raises(SettingsError, match="another program"):
        run("a.png")
    assert (tmp_path / "out/a.png").read_bytes() == b"theirs"
    assert files(tmp_path / "out") == ["a.png"]


def test_folder_that_cannot_be_made_is_named(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "out").write_bytes(b"a file in the way")
    with pytest.raises(SettingsError, match="Cannot write"):
        run("a.png")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_mode_follows_the_umask(run, tmp_path, umask, mode):
    picture(tmp_path / "a.png")
    before = os.umask(umask)
    try:
        _, target = run("a.png")
        assert os.umask(umask) == umask, "the process's own mask has changed"
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(("format", "expected"), [(None, "jpeg"), ("webp", "webp")])
def test_stream_keeps_the_format_unless_told(service, monkeypatch, format, expected):
    data = io.BytesIO()
    Image.new("RGB", (6, 5), "teal").save(data, "JPEG")
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.getvalue())))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out))
    job = FileJob(batch.STREAM, batch.STREAM)
    batch.run_job(job, TWICE, OutputOptions(format=format), service, Monitor())
    result = codecs.decode(out.getvalue())
    assert (result.format, tuple(result.pixels.shape)) == (expected, (10, 12, 3))
