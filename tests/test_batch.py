"""Which file becomes which."""

from pathlib import Path

import pytest
import torch

from upscale_bridge.batch import STREAM, FileJob, OutputOptions, plan_jobs
from upscale_bridge.errors import InvalidInputError
from upscale_bridge.images import codecs


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder tree as the working folder; planning looks at names only."""
    for name in ("in/a.png", "in/b.JPG", "in/notes.txt", "in/deep/c.webp", "in/deep/er/d.tif"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(inputs, out, *, recursive=False, **output):
    """Return the planned (source, target) pairs as text with slashes."""
    jobs = plan_jobs(inputs, out, OutputOptions(**output), recursive=recursive)
    return [tuple(p if p == STREAM else p.as_posix() for p in (j.source, j.target)) for j in jobs]


PLANS = {
    "one file to a file": (["in/a.png"], "big.webp", {}, ["big.webp"]),
    "one file to a folder": (["in/a.png"], "out", {}, ["out/a.png"]),
    "one file to standard output": (["in/a.png"], STREAM, {}, [STREAM]),
    "several to what looks like a file": (
        ["in/a.png", "in/b.JPG"],
        "big.png",
        {},
        ["big.png/a.png", "big.png/b.JPG"],
    ),
    "a folder": (["in"], "out", {}, ["out/a.png", "out/b.JPG"]),
    "a folder with all below": (
        ["in"],
        "out",
        {"recursive": True},
        ["out/a.png", "out/b.JPG", "out/deep/c.webp", "out/deep/er/d.tif"],
    ),
    "a pattern": (["in/deep/*.web?"], "out", {}, ["out/c.webp"]),
    "a pattern of all levels": (["in/**/*.[tw]*f"], "out", {"recursive": True}, ["out/d.tif"]),
    "a suffix": (["in/a.png"], "in", {"suffix": "_x4"}, ["in/a_x4.png"]),
    "standard input": ([STREAM], None, {}, [STREAM]),
    "standard input to output": ([STREAM], STREAM, {}, [STREAM]),
    "standard input to a file": ([STREAM], "big.jpg", {}, ["big.jpg"]),
    "standard input to a folder": ([STREAM], "out", {"format": "webp"}, ["out/stdin.webp"]),
}


@pytest.mark.parametrize(("inputs", "out", "options", "targets"), PLANS.values(), ids=PLANS)
def test_targets(pictures, inputs, out, options, targets):
    pairs = plan(inputs, out, **options)
    assert [target for _, target in pairs] == targets
    if len(pairs) == 1 and "*" not in inputs[0]:
        assert pairs[0][0] == inputs[0]


def test_existing_folder_named_like_a_picture_is_a_folder(pictures):
    Path("album.png").mkdir()
    assert plan(["in/a.png"], "album.png") == [("in/a.png", "album.png/a.png")]


@pytest.mark.parametrize(
    ("name", "result"),
    [("c.heic", "c.png"), ("[1].png", "[1].png")],
    ids=["of a format that is not read", "that is a pattern"],
)
def test_file_that_is_named_is_tried_whatever_its_name(pictures, name, result):
    Path("in", name).write_bytes(bytes(99))
    assert plan([f"in/{name}"], "out") == [(f"in/{name}", f"out/{result}")]


@pytest.mark.parametrize("name", ["c.jfif", "c.JPE", "c.apng", "c.dib", "c.pnm", "c.avif", "c.gif"])
def test_folder_gives_pictures_of_every_format_that_is_read(pictures, name):
    Path("in", name).touch()
    assert f"in/{name}" in [source for source, _ in plan(["in"], "out")]


@pytest.mark.parametrize("name", ["c.heic", "c.jxl", "c.tga", "c.jp2"])
def test_pictures_that_cannot_be_read_are_named_in_one_line(pictures, name):
    for number in (1, 2):
        Path("in", f"{number}{name}").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    said = []
    jobs = plan_jobs(["in"], "out", OutputOptions(), say=said.append)
    assert [job.source.name for job in jobs] == ["a.png", "b.JPG"]
    (line,) = said
    assert line.startswith("2 pictures of formats that are not read: ")
    assert f"in/1{name}, in/2{name}; save them as PNG or JPEG" in line.replace("\\", "/")
    Path("alone").mkdir()
    Path("in", f"1{name}").rename(Path("alone", name))
    with pytest.raises(InvalidInputError, match="No pictures found that can be read"):
        plan_jobs(["alone"], "out", OutputOptions())


@pytest.mark.parametrize("name", ["c.heic", "c.tga"])
def test_picture_with_the_ending_of_another_format_is_taken(pictures, name):
    Path("in", name).write_bytes(codecs.encode(torch.rand(4, 4, 3), "jpeg").data)
    assert (f"in/{name}", "out/c.png") in plan(["in"], "out")


@pytest.mark.parametrize(
    ("inputs", "out"),
    [(["in/a.png"], None), (["in"], STREAM), (["in"], None), ([STREAM, "in/a.png"], None)],
)
def test_missing_output_folder_is_refused(pictures, inputs, out):
    with pytest.raises(InvalidInputError, match="-o"):
        plan(inputs, out)


@pytest.mark.parametrize(
    ("other", "inputs", "options"),
    [
        ("in/deep/a.png", ["in/a.png", "in/deep/a.png"], {}),
        ("in/a.webp", ["in"], {"format": "png"}),
    ],
    ids=["from two folders", "after a format change"],
)
def test_two_results_of_one_name_are_refused(pictures, other, inputs, options):
    Path(other).touch()
    with pytest.raises(InvalidInputError, match=r"both become out.a\.png"):
        plan(inputs, "out", **options)


@pytest.mark.parametrize("out", ["in", "in/../in", "in/a.png", "linked"])
def test_result_over_its_own_source_is_refused(pictures, out):
    Path("linked").symlink_to("in", target_is_directory=True)
    with pytest.raises(InvalidInputError, match="would replace it"):
        plan(["in/a.png"], out, overwrite=True)


def test_second_run_does_not_enlarge_results_beside_their_sources(pictures):
    Path("in/a_x4.png").touch()
    sources = [source for source, _ in plan(["in"], "in", suffix="_x4")]
    assert sources == ["in/a.png", "in/b.JPG"]


def test_second_run_does_not_enlarge_results_below_their_sources(pictures):
    first = plan(["in"], "in/big", recursive=True)
    for _, target in first:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    assert plan(["in"], "in/big", recursive=True) == first


@pytest.mark.parametrize(
    ("source", "format", "target"),
    [
        ("a.png", "jpeg", "a.jpg"),
        ("b.JPG", "jpeg", "b.JPG"),
        ("b.JPG", "webp", "b.webp"),
        ("d.tif", "tiff", "d.tif"),
        ("d.tif", "png", "d.png"),
    ],
)
def test_format_changes_the_extension_only_when_it_must(source, format, target):
    assert plan([f"in/{source}"], "out", format=format) == [(f"in/{source}", f"out/{target}")]


@pytest.mark.parametrize("name", ["a.bmp", "a.TGA", "a.gif", "a", "a.b.avif"])
def test_extensions_that_cannot_be_written_become_png(name):
    target = plan([f"in/{name}"], "out")[0][1]
    assert target == f"out/{Path(name).stem}.png"


@pytest.mark.parametrize("inputs", [["empty"], ["in/*.exr"], ["empty", "*.nothing"]])
def test_no_pictures_is_refused(pictures, inputs):
    Path("empty").mkdir()
    with pytest.raises(InvalidInputError, match="No pictures found"):
        plan(inputs, "out")


def test_missing_file_becomes_a_job_so_that_the_others_run(pictures):
    jobs = plan_jobs(["in/none.png", "in/a.png"], "out", OutputOptions())
    assert jobs[0] == FileJob(Path("in/none.png"), Path("out/none.png"))
