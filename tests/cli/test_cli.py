"""The command `upscale-bridge local`, in this process and with the shipped model."""

import functools
import io
import json
import re
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image

from upscale_bridge import batch, cli
from upscale_bridge.local import loader

MODEL = "UpscaleBridge-x4"
VERSION = "2"

# Every call of the command would load the model again.
load_model = functools.lru_cache(loader.load_model)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with two pictures."""
    monkeypatch.setattr(loader, "load_model", load_model)
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.new("RGB", (8, 6), "orange").save("in/a.png")
    Image.new("RGB", (6, 8), "teal").save("in/b.jpg")
    return tmp_path


def size(path):
    with Image.open(path) as image:
        image.load()
        return image.size


def test_one_file_is_enlarged(run):
    status, out, err = run("local", "in/a.png", "-o", "big.png", "--scale", 2)
    assert (status, out) == (0, "")
    assert "in/a.png -> big.png: 8 x 6 -> 16 x 12 with UpscaleBridge-x4" in Path(err).as_posix()
    assert size("big.png") == (16, 12)


def test_broken_picture_does_not_stop_the_others(run):
    Path("in/aa.png").write_bytes(b"not a picture")
    Path("in/ab.png").write_bytes(b"")
    status, _, err = run("local", "in", "-o", "out", "--scale", 2)
    assert status == 2
    assert "aa.png: FAILED: " in err
    assert "not an image" in err
    assert "ab.png: FAILED: " in err
    assert "2 of 4 pictures failed" in err
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.jpg"]


def test_second_run_skips_what_is_there(run):
    run("local", "in/a.png", "-o", "out", "--scale", 2)
    status, _, err = run("local", "in", "-o", "out", "--scale", 4)
    assert status == 0
    assert "a.png: skipped, " in err
    assert size("out/a.png") == (16, 12)
    assert size("out/b.jpg") == (24, 32)


def test_skipping_everything_loads_no_model(run):
    run("local", "in", "-o", "out", "--scale", 1)
    status, _, err = run("local", "in", "-o", "out", "--model", "nowhere")
    assert status == 0
    assert err.count("skipped") == 2


def test_overwrite_does_it_again(run):
    run("local", "in/a.png", "-o", "out", "--scale", 2)
    status, _, err = run("local", "in/a.png", "-o", "out", "--scale", 3, "--overwrite")
    assert (status, "skipped" in err) == (0, False)
    assert size("out/a.png") == (24, 18)


def test_json_has_a_line_for_every_picture(run):
    Path("in/aa.png").write_bytes(b"not a picture")
    run("local", "in/b.jpg", "-o", "out", "--scale", 2)
    status, out, err = run("local", "in", "-o", "out", "--scale", 2, "--json")
    assert (status, err) == (2, "")
    done, failed, skipped = [json.loads(line) for line in out.splitlines()]
    seconds = done.pop("seconds")
    assert isinstance(seconds, float)
    assert done == {
        "file": str(Path("in/a.png")),
        "output": str(Path("out/a.png")),
        "status": "done",
        "model": MODEL,
        "architecture": "RealESRGAN Compact",
        "device": "cpu",
        "precision": "fp32",
        "passes": 1,
        "tiles": 1,
        "redone_tiles": 0,
        "shrunk_to": 0,
        "input_size": [8, 6],
        "size": [16, 12],
        "model_version": VERSION,
    }
    assert failed["status"] == "failed"
    assert failed["error"] == "InvalidInputError"
    assert failed["file"] in failed["message"]
    assert skipped == {
        "file": str(Path("in/b.jpg")),
        "output": str(Path("out/b.jpg")),
        "status": "skipped",
    }


def test_json_of_a_refusal_is_json_too(run):
    status, out, _ = run("local", "in/a.png", "--json")
    assert status == 2
    assert json.loads(out)["error"] == "InvalidInputError"


@pytest.fixture
def pipe(capsys, monkeypatch):
    """Run the command with bytes on standard input; return status, output bytes and error."""

    def call(data, *arguments):
        target = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(target))
            status = cli.main(list(arguments))
            sys.stdout.flush()
            written = target.getvalue()
        return status, written, capsys.readouterr().err

    return call


def test_standard_input_to_standard_output(pipe):
    data = io.BytesIO()
    Image.new("LA", (7, 5)).save(data, "PNG")
    status, out, err = pipe(data.getvalue(), "local", "-", "--scale", "2", "--json")
    assert status == 0
    with Image.open(io.BytesIO(out)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "LA", (14, 10))
    # The picture has standard output to itself.
    assert json.loads(err)["status"] == "done"


def test_broken_standard_input_writes_nothing_to_standard_output(pipe):
    status, out, err = pipe(b"not a picture", "local", "-", "--json")
    assert (status, out) == (2, b"")
    assert json.loads(err)["status"] == "failed"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (["--width", 20], (20, 15)),
        (["--height", 9], (12, 9)),
        (["--longest-edge", 13], (13, 10)),
        (["--width", 100, "--height", 12], (16, 12)),
        (["--width", 4], (4, 3)),
        (["--shortest-edge", 9], (12, 9)),
        (["--megapixels", "0.1"], (365, 274)),
        (["--width", 9, "--height", 12, "--fit-mode", "fill"], (9, 12)),
        (["--width", 9, "--height", 12, "--fit-mode", "stretch"], (9, 12)),
    ],
)
def test_wished_size_is_met(run, wish, expected):
    assert run("local", "in/a.png", "-o", "out", *wish)[0] == 0
    assert size("out/a.png") == expected


def test_extras_blend_two_upscalers(run):
    second = ("--upscaler-2", "Nearest", "--extras-upscaler-2-visibility", "0.5")
    assert run("extras", "in/a.png", "-o", "out", "--upscaling-resize", "1.5", *second)[0] == 0
    assert size("out/a.png") == (12, 9)
    status, _, err = run("extras", "in/a.png", "-o", "new", "--upscaler-1", "nowhere")
    assert (status, "There is no model 'nowhere'" in err) == (5, True)


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("--scale", "17", "scale_factor must be a number from 0.25 to 16; got 17.0."),
        ("--scale", "nan", "scale_factor must be a number; got nan."),
        ("--scale", "much", "invalid float value: 'much'"),
        ("--tile", "-1", "tile_size must be a whole number from 0 to 4096; got -1."),
        ("--tile", "1.5", "invalid int value: '1.5'"),
        ("--precision", "fp8", "invalid choice: 'fp8'"),
        ("--alpha", "none", "invalid choice: 'none'"),
        ("--width", "0", "a number of pixels, 1 or more, is needed, not '0'"),
        ("--height", "²", "a number of pixels, 1 or more, is needed, not '²'"),
        ("--longest-edge", "1e3", "a number of pixels, 1 or more, is needed, not '1e3'"),
        ("--quality", "0", "a whole number from 1 to 100 is needed, not '0'"),
        ("--quality", "101", "a whole number from 1 to 100 is needed, not '101'"),
        ("--format", "gif", "invalid choice: 'gif'"),
    ],
)
def test_bad_value_is_explained(run, flag, value, sentence):
    status, out, err = run("local", "in/a.png", "-o", "out", flag, value)
    assert (status, out) == (2, "")
    assert f"argument {flag}: {sentence}" in err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["in/a.png"], "Name a folder for the results with -o."),
        (["none/*.png", "-o", "out"], "No pictures found"),
        (["in/a.png", "-o", "in"], "would replace it"),
        (["in/a.png", "-o", "out", "--device", "abacus"], "'abacus' cannot be used"),
        (["in/a.png", "-o", "out.gif"], "results are written as .png, .jpg, "),
        (
            ["in/a.png", "-o", "out", "--width", "9", "--longest-edge", "9"],
            "Both --longest-edge and --width tell how large the result is; name one.",
        ),
        (
            ["in/a.png", "-o", "out", "--scale", "2", "--megapixels", "1"],
            "Both --scale and --megapixels tell how large the result is; name one.",
        ),
        (["in/a.png", "-o", "out", "--fit-mode", "fill"], "width and height are both 0"),
    ],
)
def test_impossible_request_is_explained(run, arguments, sentence):
    status, _, err = run("local", *arguments)
    assert status == 2
    assert sentence in err


def test_help_says_last_what_is_rarely_changed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["wavespeed", "--help"])
    _, plain, folded = re.split(r"\n(?:settings|rarely changed):\n", capsys.readouterr().out)
    assert "--target-resolution" in plain
    assert "--attempt" in folded


@pytest.mark.parametrize("again", [[], ["--overwrite"]])
def test_unknown_model_is_said_once_with_a_suggestion(run, again):
    if again:
        run("local", "in", "-o", "out", "--scale", 2)
    status, _, err = run("local", "in", "-o", "out", "--model", "UpscaleBridge-x2", *again)
    assert status == 5
    assert err.count("ModelNotFoundError: There is no model 'UpscaleBridge-x2'.") == 1
    assert f"Did you mean {MODEL}?" in err
    assert Path("out").exists() is bool(again)


def test_known_model_that_is_missing_names_licence_and_place(run, own_home):
    status, _, err = run("local", "in", "-o", "out", "--model", "RealESRGAN_x4plus")
    assert status == 5
    assert "RealESRGAN_x4plus is not on this machine" in err
    assert "licence BSD-3-Clause" in err
    assert str(own_home / "models") in err


def send_after_first(monkeypatch, signals):
    """Send SIGINT to this process `signals` times when the first picture is done."""
    run_job, calls = batch.run_job, []

    def interrupted(*arguments):
        done = run_job(*arguments)
        calls.append(done)
        if len(calls) == 1:
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(batch, "run_job", interrupted)


def test_interrupt_stops_and_keeps_what_is_finished(run, monkeypatch):
    send_after_first(monkeypatch, signals=1)
    before = signal.getsignal(signal.SIGINT)
    status, _, err = run("local", "in", "-o", "out", "--scale", 2)
    assert status == 130
    assert "Stopped on request." in err
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]
    assert size("out/a.png") == (16, 12)
    assert signal.getsignal(signal.SIGINT) is before


def test_second_interrupt_ends_at_once(run, monkeypatch):
    send_after_first(monkeypatch, signals=2)
    before = signal.getsignal(signal.SIGINT)
    status, _, err = run("local", "in", "-o", "out", "--scale", 2)
    assert (status, err.splitlines()[-1]) == (130, "StoppedError: Stopped on request.")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("flags", "shown"), [([], True), (["--json"], False)])
def test_progress_is_drawn_on_a_terminal(run, monkeypatch, flags, shown):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _stream: True)
    _, _, err = run("local", "in/a.png", "-o", "out", "--scale", 2, *flags)
    assert ("[1/1] a.png 100 %" in err) is shown
