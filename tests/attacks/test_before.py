"""What can be known before the computing is said before it; any exception costs one picture."""

import os
import shutil
import struct
import zlib
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image

from tests import corpus, tiffs
from upscale_bridge import LocalUpscale, Monitor, batch, cli
from upscale_bridge.batch import FileJob, OutputOptions, plan_jobs
from upscale_bridge.errors import InvalidInputError, SettingsError
from upscale_bridge.images import codecs, pillow_reader, png
from upscale_bridge.vendors import OPERATIONS

Disk = namedtuple("Disk", "total used free")


def longest(edge):
    return LocalUpscale(size_by="longest edge", longest_edge=edge)


def attempt(folder, target, *, operation=None, **output):
    """Run folder/a.png into folder/`target` with a service that would fail at once."""
    job = FileJob(folder / "a.png", folder / target)
    operation = operation or LocalUpscale(scale_factor=2)
    return batch.run_job(job, operation, OutputOptions(**output), None, Monitor())


@pytest.fixture
def picture(tmp_path):
    Image.new("RGB", (32, 24), "teal").save(tmp_path / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("target", "edge", "words"),
    [
        ("b.webp", 16_384, "webp cannot hold 16384 x 12288 px, 16383 px is its longest side"),
        ("b.jpg", 65_504, "jpeg cannot hold 65504 x 49128 px, 65500 px is its longest side"),
        ("n" * 252 + ".png", 64, r"has 256 bytes, 255 are possible"),
        ("ä" * 126 + ".jpg", 64, r"has 256 bytes, 255 are possible"),
    ],
)
def test_limits_of_formats_and_names_are_told_first(picture, target, edge, words):
    with pytest.raises(InvalidInputError, match=words):
        attempt(picture, target, operation=longest(edge))


FOURFOLD = [
    kind(scale_factor=4.0) for kind in OPERATIONS if "scale_factor" in kind.__dataclass_fields__
]
LARGE = [operation for operation in FOURFOLD if max(operation.target(6000, 2)) > 16_383]


@pytest.mark.parametrize("operation", LARGE, ids=lambda operation: operation.command)
def test_limits_of_formats_are_told_before_anything_is_paid(tmp_path, operation):
    Image.new("RGB", (6000, 2)).save(tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match="webp cannot hold"):
        attempt(tmp_path, "b.webp", operation=operation)


def test_impossible_names_cost_one_picture_each(picture, capsys, monkeypatch):
    monkeypatch.setattr(cli.upscale, "make_service", lambda args: Stub())
    names = ["n" * 300 + ".png", "a.png/b.png", "a.png"]
    (picture / "out").mkdir()
    inputs = [str(picture / name) for name in names]
    assert cli.main(["local", *inputs, "-o", str(picture / "out"), "--scale", "2"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sum("FAILED: " in line for line in lines) == 2
    assert [path.name for path in (picture / "out").iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "ä" * 125 + "a.png", "n" * 241 + ".png"])
def test_names_as_long_as_the_system_allows_are_written(tmp_path, name):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    job = FileJob(tmp_path / "a.png", tmp_path / "out" / name)
    batch.run_job(job, corpus.TWICE, OutputOptions(), corpus.Repeats(), Monitor())
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_no_obstacle_for_jpeg(tmp_path, mode):
    Image.new("RGBA", (9, 9), (9, 99, 199, 255)).convert(mode).save(tmp_path / "a.png")
    job = FileJob(tmp_path / "a.png", tmp_path / "a.jpg")
    done = batch.run_job(job, corpus.TWICE, OutputOptions(), corpus.Repeats(), Monitor())
    assert done.left_out == ()
    with Image.open(tmp_path / "a.jpg") as found:
        assert found.size == (18, 18)


def test_folder_that_cannot_be_written_is_told_first(picture, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SettingsError, match="cannot be written to"):
        attempt(picture, "out/deep/b.png")


@pytest.mark.parametrize("overwrite", [True, False])
def test_folder_in_the_place_of_the_result_is_told_first(picture, overwrite):
    (picture / "b.png").mkdir()
    if not overwrite:
        assert attempt(picture, "b.png").status == "skipped"
        return
    with pytest.raises(SettingsError, match="is a folder"):
        attempt(picture, "b.png", overwrite=True)


@pytest.mark.parametrize(("target", "free"), [("b.tif", 9_000), ("b.png", 500)])
def test_full_disk_is_told_first_as_far_as_it_is_known(picture, monkeypatch, target, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(1 << 40, 0, free))
    with pytest.raises(SettingsError, match="free some space"):
        attempt(picture, target)


@pytest.mark.parametrize("name", ["out.gif", "out.BMP", "out.heic", "out.avif", "out.jxl", "o.tga"])
def test_endings_that_are_not_written_are_told_first(picture, monkeypatch, name, capsys):
    monkeypatch.chdir(picture)
    with pytest.raises(InvalidInputError, match=r"results are written as \.png, \.jpg"):
        plan_jobs(["a.png"], name, OutputOptions())
    assert cli.main(["tasks", "resume", "nothing", "-o", name]) == 2
    assert "results are written as" in capsys.readouterr().err
    (picture / name).mkdir()
    assert plan_jobs(["a.png"], name, OutputOptions())[0].target.name == "a.png"


@pytest.mark.parametrize(
    ("names", "output", "words"),
    [
        (["a.png", "a.bmp"], {}, "rename one of them"),
        (["a.png", "a.jpg"], {"format": "webp"}, "drop --format"),
        (["x/a.png", "y/a.png"], {}, "name a folder above both with --recursive"),
    ],
)
def test_advice_about_two_results_of_one_name_fits_the_case(tmp_path, names, output, words):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(InvalidInputError, match=words):
        plan_jobs([str(tmp_path / name) for name in names], "out", OutputOptions(**output))


FAILURES = [
    struct.error("unpack requires a buffer of 8 bytes"),
    *(ValueError("no"), OverflowError("no"), MemoryError(), RecursionError("no"), KeyError(273)),
    *(zlib.error("no"), SyntaxError("no"), TypeError("no"), SystemError("no"), OSError("no")),
    *(AssertionError(), IndexError("no"), EOFError(), ZeroDivisionError("no")),
]


OWNERS = {"read": pillow_reader, "write": png, "fit": codecs, "_writable": batch}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", OWNERS)
def test_any_exception_costs_one_picture(tmp_path, monkeypatch, capsys, failure, place):
    owner = OWNERS[place]
    right, calls = getattr(owner, place), []

    def fail(*args, **kwargs):
        calls.append(place)
        if len(calls) == 1:
            raise failure
        return right(*args, **kwargs)

    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "teal").save(tmp_path / name)
    monkeypatch.setattr(owner, place, fail)
    monkeypatch.setattr(cli.upscale, "make_service", lambda args: Stub())
    arguments = ["local", str(tmp_path), "-o", str(tmp_path / "out"), "--scale", "2"]
    assert cli.main(arguments) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert sum("FAILED: " in line for line in lines) == 1
    assert "Traceback" not in "".join(lines)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


class Stub(corpus.Repeats):
    """Enough of a service for the command."""

    class library:  # noqa: N801
        @staticmethod
        def load(*args, **kwargs):
            return None

    class faces:  # noqa: N801
        @staticmethod
        def prepare(*args, **kwargs):
            return None


@pytest.mark.parametrize(("edge", "size"), [(3840, (3840, 2880)), (6, (6, 4)), (512, (512, 384))])
def test_longest_edge_is_met_whatever_the_factor(picture, edge, size):
    class Engine:
        def run(self, operation, images, monitor, *, size=None):
            asked.append(operation.factor(32, 24))
            width, height = operation.target(32, 24)
            return corpus.Result(torch.zeros(1, height, width, 3), {}, "")

    asked = []
    job = FileJob(picture / "a.png", picture / "b.png")
    batch.run_job(job, longest(edge), OutputOptions(), Engine(), Monitor())
    assert asked == [edge / 32]
    with Image.open(picture / "b.png") as image:
        assert image.size == size


def test_rerun_with_another_format_enlarges_no_results(tmp_path):
    for name in (
        "in/a.png",
        "in/b.jpg",
        "in/a_x4.webp",
        "in/b_x4.jpg",
        "in/out/c.png",
        "in/d_x4.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(name.encode())
    folder = tmp_path / "in"
    jobs = plan_jobs([str(folder)], str(folder), OutputOptions(suffix="_x4", format="png"))
    assert [job.source.name for job in jobs] == ["a.png", "b.jpg", "d_x4.png"]
    jobs = plan_jobs(
        [str(folder)], str(folder / "out"), OutputOptions(format="webp"), recursive=True
    )
    assert "c.png" not in [job.source.name for job in jobs]


def test_hidden_and_foreign_files_are_no_pictures(tmp_path):
    for name in (
        "a.png",
        "._a.png",
        "@eaDir/a.png",
        ".thumbnails/b.png",
        "__MACOSX/._a.png",
        "Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again.png").symlink_to(tmp_path / "a.png")
    said = []
    jobs = plan_jobs([str(tmp_path)], "out", OutputOptions(), recursive=True, say=said.append)
    assert [job.source.name for job in jobs] == ["a.png"]
    assert len(said) == 1
    assert "again.png" in said[0]


def test_numbers_that_are_no_levels_are_refused_with_their_range():
    data = tiffs.write(np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8, 1), photometric=1)
    with pytest.raises(InvalidInputError, match="numbers from 0 to 255, where 0 is black and 1 is"):
        codecs.decode(data, "x.tif")


def test_depth_that_services_do_not_give_back_is_said(tmp_path):
    (tmp_path / "a.png").write_bytes(codecs.encode(torch.rand(9, 9, 3), bits=16).data)
    job, operation = FileJob(tmp_path / "a.png", tmp_path / "b.png"), OPERATIONS[0]()

    class Vendor:
        def run(self, operation, images, monitor, **options):
            return corpus.Result(images, {}, "")

    done = batch.run_job(job, operation, OutputOptions(), Vendor(), Monitor())
    assert done.left_out == ("8 of 16 bits per channel (services give back 8)",)
