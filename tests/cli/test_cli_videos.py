"""Videos at the command line."""

import json
import os
from pathlib import Path

import pytest

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.fakes.videos import clip, enlarged, matroska
from tests.remote.host import configure
from tests.vendors import environment
from tests.vendors.wavespeed.catalogue import MODELS
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import VIDEOS

KEY = "sk-only-for-these-tests-0123456789"
COMMAND = "wavespeed-video"


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A stand-in, and a working folder with videos and other things."""
    monkeypatch.chdir(tmp_path)
    Path("in/deep").mkdir(parents=True)
    for index in range(3):
        Path(f"in/{index}.mp4").write_bytes(clip(index))
    Path("in/deep/3.webm").write_bytes(matroska())
    Path("in/picture.png").write_bytes(b"\x89PNG")
    Path("in/notes.txt").write_text("no video")
    with FakeService(key=KEY) as fake:
        for name, value in environment(fake.base_url, KEY).items():
            monkeypatch.setenv(name, value)
        yield fake


def reports(out):
    return [json.loads(line) for line in out.splitlines()]


def test_one_file_becomes_another(run, service):
    status, out, err = run(COMMAND, "in/0.mp4", "-o", "big.mp4")
    assert (status, out) == (0, "")
    assert "in/0.mp4 -> big.mp4: 64 x 48 -> 64 x 48 by WaveSpeed Upscale Video" in err
    assert Path("big.mp4").read_bytes() == enlarged(clip())
    assert len(service.tasks) == 1


def test_a_folder_goes_through_and_what_is_there_is_skipped(run, service):
    status, out, err = run(COMMAND, "in", "-o", "out", "--recursive", "--json")
    assert status == 0
    told = {Path(one["file"]).name: one for one in reports(out)}
    assert sorted(told) == ["0.mp4", "1.mp4", "2.mp4", "3.webm"]
    assert Path("out/2.mp4").read_bytes() == enlarged(clip(2))
    assert Path(told["3.webm"]["output"]) == Path("out/deep/3.mp4")
    assert "out/deep/3.mp4: the service made a webm file of it" in Path(err).as_posix()
    requests = len(service.requests)
    status, out, _ = run(COMMAND, "in", "-o", "out", "--recursive", "--json")
    assert {one["status"] for one in reports(out)} == {"skipped"}
    status, out, _ = run(COMMAND, "in", "-o", "out", "--recursive", "--json", "--overwrite")
    assert {one["tasks"][0]["how"] for one in reports(out)} == {"reused"}
    assert len(service.requests) == requests


def test_no_more_are_under_way_than_the_settings_allow(run, service):
    service.clock.seconds = 0.2
    run(COMMAND, "in/0.mp4", "in/1.mp4", "in/2.mp4", "-o", "out")
    assert 1 <= service.most_unfinished <= 3
    home().joinpath("settings.json").write_text('{"concurrency": 1}')
    service.most_unfinished = 0
    run(COMMAND, "in", "-o", "again", "--attempt", "2")
    assert service.most_unfinished == 1


def test_model_options_and_attempt_are_told(run, service):
    flags = ("--model", "bytedance/video-upscaler", "--options", '{"target_resolution": "4k"}')
    assert run(COMMAND, "in/0.mp4", "-o", "a.mp4", *flags)[0] == 0
    assert run(COMMAND, "in/0.mp4", "-o", "b.mp4", *flags, "--attempt", "2")[0] == 0
    assert [task.operation for task in service.tasks] == ["/api/v3/bytedance/video-upscaler"] * 2
    assert service.tasks[0].body == {"target_resolution": "4k"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("in/notes.txt", "-o", "out"), "not a video of a format"),
        (("in/picture.png", "-o", "out"), "not a video of a format"),
        (("in/0.mp4",), "Name a folder for the results"),
        (("in/0.mp4", "-o", "in/0.mp4"), "would replace it"),
        (("in/0.mp4", "-o", "in"), "would replace it"),
        (("in/0.mp4", "-o", "out.webm"), "results are written as .mp4, not as .webm"),
        (("in/0.mp4", "in/deep/../deep/3.webm", "-o", "-"), "read from files"),
        (("-", "-o", "a.mp4"), "read from files"),
        (("nothing", "-o", "out"), "Cannot read nothing"),
        (("in/deep/x*.mp4", "-o", "out"), "No videos found"),
        (("in/0.mp4", "-o", "out", "--options", "{"), "must be a JSON object"),
        (("in/0.mp4", "-o", "out", "--model", "../x"), "model must be an id"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(run, service, arguments, words):
    status, _, err = run(COMMAND, *arguments)
    assert status == 2
    assert words in err
    assert not service.tasks


def test_unread_formats_are_named(run, service):
    Path("in/old.avi").write_bytes(b"RIFF\x00\x10\x00\x00AVI LIST")
    Path("in/really.avi").write_bytes(clip(8))
    status, out, err = run(COMMAND, "in", "-o", "out", "--json")
    assert (status, len(reports(out))) == (0, 4)
    assert "1 videos of formats that are not read: in/old.avi; save them as MP4." in Path(
        err
    ).as_posix().replace(os.sep, "/")


def test_one_failure_does_not_stop_the_others(run, service):
    service.faults["submit"].append(faults.refused("moderation"))
    status, _, err = run(COMMAND, "in", "-o", "out")
    assert status == 6
    assert err.count("FAILED") == 1
    assert len(list(Path("out").iterdir())) == 2


def test_a_task_is_listed_and_resumed(run, service):
    run(COMMAND, "in/0.mp4", "-o", "big.mp4")
    (row,) = json.loads(run("tasks", "--json")[1])
    assert (row["operation"], row["state"]) == ("WaveSpeedUpscaleVideo", "done")
    assert (row["width"], row["height"]) == (64, 48)
    status, _, err = run("tasks", "resume", row["ticket"], "-o", "again.mp4")
    assert status == 0
    assert "again.mp4: 64 x 48 -> 64 x 48" in err
    assert Path("again.mp4").read_bytes() == enlarged(clip())
    assert run("tasks", "resume", row["ticket"], "-o", "again.mp4")[0] == 3
    assert run("tasks", "resume", row["ticket"], "-o", "again.mp4", "--overwrite")[0] == 0
    status, out, _ = run("tasks", "resume", row["request"][:12], "--json")
    assert (status, json.loads(out)["output"]) == (0, row["request"][:12] + ".mp4")
    assert len(service.tasks) == 1


def test_a_task_in_doubt_is_resumed_by_the_id_that_its_user_found(run, service):
    service.faults["submit"].append(faults.drop_answer())
    status, _, err = run(COMMAND, "in/0.mp4", "-o", "big.mp4")
    assert status == 7
    name = err.split("tasks resume ")[1].split()[0]
    ticket = service.tasks[0].id
    assert run("tasks", "resume", name, "--ticket", ticket, "-o", "big.mp4")[0] == 0
    assert Path("big.mp4").read_bytes() == enlarged(clip())


def test_a_task_of_another_machine_needs_its_maker(run, service):
    run(COMMAND, "in/0.mp4", "-o", "big.mp4")
    ticket = service.tasks[0].id
    run("tasks", "forget", ticket)
    made_by = ("--made-by", "WaveSpeedUpscaleVideo")
    assert run("tasks", "resume", ticket, "-o", "again.mp4", *made_by)[0] == 0
    assert Path("again.mp4").read_bytes() == enlarged(clip())


@pytest.mark.parametrize(
    ("command", "source", "output", "words"),
    [
        (COMMAND, "in/0.mp4", "again.png", "is of a video; name the result .mp4"),
        ("wavespeed", "picture.png", "again.mp4", "is of an image; name the result .png"),
    ],
)
def test_a_result_of_the_other_kind_is_refused(run, service, command, source, output, words):
    from PIL import Image

    Image.new("RGB", (24, 16)).save("picture.png")
    assert run(command, source, "-o", f"big{Path(source).suffix}")[0] == 0
    status, _, err = run("tasks", "resume", service.tasks[0].id, "-o", output)
    assert status == 2
    assert words in err
    assert not Path(output).exists()


@pytest.mark.parametrize("operation", VIDEOS)
def test_every_parameter_is_a_flag(run, operation):
    shown = " ".join(run(operation.command, "--help")[1].split())
    for item in operation.params():
        assert "--" + item.name.replace("_", "-") in shown
    assert "--when-unavailable" not in shown
    assert operation.command in run("--help")[1]


def test_a_dry_run_says_what_would_be_paid(run, service):
    service.catalogue = MODELS
    run(COMMAND, "in/1.mp4", "-o", "kept.mp4")
    status, out, err = run(COMMAND, "in", "-o", "out", "--dry-run")
    assert (status, out) == (0, "")
    assert [line.partition(": ")[2] for line in err.splitlines()] == [
        "64 x 48, would be submitted and paid",
        "64 x 48, is kept, free of cost",
        "64 x 48, would be submitted and paid",
        "$0.05; $12.50 are left on the account. Nothing was sent.",
    ]
    assert err.splitlines()[-1].startswith("2 payments of $0.025: ")
    assert (len(service.tasks), Path("out").exists()) == (1, False)


def test_a_command_is_one_run_for_its_limit(run, service):
    service.catalogue = MODELS
    configure(max_cost_run=0.06)
    status, _, err = run(COMMAND, "in", "-o", "out")
    assert status == 3
    assert "CostLimitError: The run would cost $0.075 (3 at $0.025 each)" in err
    assert not service.tasks
