"""Videos: a file goes there and another one comes back, paid once and never whole in memory."""

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.fakes import faults
from tests.fakes.service import FakeService
from tests.fakes.videos import box, clip, enlarged, matroska, movie, mp4, track
from tests.remote.host import KEY, PASSING, Remote, Watch, configure, wait_until
from tests.vendors import environment
from upscale_bridge.errors import (
    AmbiguousSubmitError,
    BadReplyError,
    InvalidInputError,
    MissingKeyError,
    StoppedError,
    TaskFailedError,
    TaskLostError,
    TaskTimeoutError,
)
from upscale_bridge.remote.run import ResumeTask
from upscale_bridge.storage.settings import home
from upscale_bridge.vendors import ALL, OPERATIONS, VIDEOS, WaveSpeedUpscaleVideo, operation_named

ROOT = Path(__file__).resolve().parents[2]
LARGE = 80_000_000


class Films(Remote):
    """A host that sends videos."""

    def send(self, path, monitor=None, **changes):
        """Return the result's bytes, and what is said about it."""
        taken = []
        operation = WaveSpeedUpscaleVideo(**changes)
        take = lambda kept: taken.append(kept.read_bytes())  # noqa: E731
        result = self.host.run_video(operation, path, take, monitor)
        (data,) = taken
        return data, result

    def fetch(self, name, **changes):
        taken = []
        operation = ResumeTask(task_id=name, **changes)
        take = lambda kept: taken.append(kept.read_bytes())  # noqa: E731
        return taken, self.host.resume_video(operation, take)


@pytest.fixture
def vendor(monkeypatch, remote):
    return Films(remote().fake)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip())
    return path


def check_sent_once(vendor, film):
    """Run the same twice: the result is right, was paid once, and is kept."""
    assert vendor.send(film)[0] == enlarged(film.read_bytes())
    assert len(vendor.fake.tasks) == 1
    before = len(vendor.fake.requests)
    data, result = vendor.send(film)
    assert data == enlarged(film.read_bytes())
    assert result.info["tasks"][0]["how"] == "reused"
    assert len(vendor.fake.requests) == before


# --- what is declared


def test_a_video_operation_is_known_by_its_name_and_none_of_images():
    assert (WaveSpeedUpscaleVideo,) == VIDEOS
    assert not set(VIDEOS) & set(OPERATIONS)
    assert [kind for kind in ALL if kind.media == "video"] == list(VIDEOS)
    assert set(ALL) >= {*OPERATIONS, *VIDEOS}
    assert operation_named("WaveSpeedUpscaleVideo") is WaveSpeedUpscaleVideo


def test_it_has_no_parameters_of_images():
    names = [item.name for item in WaveSpeedUpscaleVideo.params()]
    assert names[:2] == ["model", "options"]
    assert names[-1] == "attempt"
    assert not {"when_too_large", "result_size", "when_unavailable"} & set(names)
    assert WaveSpeedUpscaleVideo().told() == {
        "model": "wavespeed-ai/video-upscaler",
        "options": "{}",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("[1]", "must be a JSON object"),
        ('{"video": "https://example.com/a.mp4"}', "Leave video out"),
        ('{"enable_base64_output": true}', "Leave enable_base64_output out"),
        ('{"enable_sync_mode": true}', "Leave enable_sync_mode out"),
        ('{"num_outputs": 2}', "num_outputs must be 1"),
    ],
)
def test_options_that_a_video_cannot_have_are_refused(options, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        WaveSpeedUpscaleVideo(options=options)
    assert caught.value.name == "options"


# --- a run


def test_a_video_is_uploaded_enlarged_and_kept(vendor, film):
    data, result = vendor.send(film, options='{"target_resolution": "2k", "copy_audio": false}')
    assert data == enlarged(clip())
    (task,) = vendor.fake.tasks
    assert task.operation == "/api/v3/wavespeed-ai/video-upscaler"
    assert task.body == {"target_resolution": "2k", "copy_audio": False}
    assert (task.image, task.source) == (clip(), "upload")
    assert [request.path for request in vendor.fake.requests if request.method == "PUT"]
    (kept,) = (home() / "results").iterdir()
    assert kept.suffix == ".mp4"
    info = result.info
    assert (info["input_size"], info["size"], info["duration"]) == ((64, 48), (64, 48), 2.5)
    assert (info["format"], info["bytes"]) == ("mp4", len(data))
    assert info["model"] == "wavespeed-ai/video-upscaler"
    assert info["tasks"][0] | {"how": "new", "id": task.id} == info["tasks"][0]
    assert result.format == "mp4"
    assert result.summary.startswith("64 x 48 -> 64 x 48 by WaveSpeed Upscale Video (new, task ")
    assert KEY not in json.dumps(info)
    check_sent_once_more(vendor, film)


def check_sent_once_more(vendor, film):
    options = '{"copy_audio":false,  "target_resolution":"2k"}'
    before = len(vendor.fake.requests)
    assert vendor.send(film, options=options)[1].info["tasks"][0]["how"] == "reused"
    assert len(vendor.fake.requests) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 2},
        {"options": '{"target_resolution": "4k"}'},
        {"model": "wavespeed-ai/flashvsr"},
    ],
)
def test_another_request_is_paid_anew(vendor, film, changes):
    vendor.send(film)
    assert vendor.send(film, **changes)[1].info["tasks"][0]["how"] == "new"
    assert len(vendor.fake.tasks) == 2


def test_the_content_counts_and_not_the_name(vendor, film, tmp_path):
    vendor.send(film)
    film.rename(tmp_path / "other.mov")
    assert vendor.send(tmp_path / "other.mov")[1].info["tasks"][0]["how"] == "reused"
    film.write_bytes(clip(1))
    assert vendor.send(film)[0] == enlarged(clip(1))
    assert len(vendor.fake.tasks) == 2


@pytest.mark.parametrize(
    ("data", "ending", "mime"),
    [
        (mp4(box(b"mdat"), movie(track(64, 48)), brand=b"qt  "), "mov", "video/quicktime"),
        (matroska(), "webm", "video/webm"),
        (matroska(b"matroska"), "mkv", "video/x-matroska"),
    ],
)
def test_other_formats_are_sent_as_what_they_are(vendor, film, data, ending, mime):
    film.write_bytes(data)
    assert vendor.send(film)[1].format == ending
    ticket = next(iter(vendor.fake.tickets.values()))
    assert ticket == (len(data), {"Content-Type": mime})
    assert vendor.fake.tasks[0].url.endswith(f"/video.{ending}")
    assert next((home() / "results").iterdir()).suffix == f".{ending}"


def test_bytes_of_upload_and_download_are_shown(vendor, film):
    film.write_bytes(clip(size=3_000_000))
    vendor.fake.faults["put"].append(faults.stall(0.5, silent=True))
    watch = Watch()
    vendor.send(film, monitor=watch)
    assert "uploading 3.0/3.0 MB" in watch.lines
    assert watch.lines[-1] == "done"
    done = [step[0] for step in watch.steps]
    assert done == sorted(done)


def test_an_older_host_gets_the_form(vendor, film):
    vendor.fake.faults["ticket"].append(faults.not_found())
    assert vendor.send(film)[0] == enlarged(clip())
    assert vendor.fake.count("legacy") == 1
    assert vendor.fake.tasks[0].image == clip()


def test_a_host_without_uploads_is_told_before_anything_is_paid(vendor, film):
    for phase in ("ticket", "legacy"):
        vendor.fake.faults[phase].append(faults.not_found())
    with pytest.raises(InvalidInputError, match=r"takes no uploads.*video.*WAVESPEED_BASE_URL"):
        vendor.send(film)
    assert not vendor.fake.tasks
    assert not vendor.rows


# --- what is refused before


REFUSED = {
    "a web page": (b"<html>" + bytes(999), "not a video of a format"),
    "empty": (b"", "is empty"),
    "cut off": (clip()[:-1], "damaged or cut off"),
    "too long": (mp4(movie(track(64, 48), ticks=700_000)), "700 s long.*at most 600 s"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sent_is_refused_before_anything_is_sent(vendor, film, case):
    data, words = REFUSED[case]
    film.write_bytes(data)
    with pytest.raises(InvalidInputError, match=words):
        vendor.send(film)
    assert not vendor.fake.requests


def test_a_file_beyond_the_upload_limit_is_refused(vendor, film):
    with film.open("wb") as file:
        file.write(mp4(movie(track(64, 48)), b"\0\0\0\1mdat" + (250_000_000).to_bytes(8, "big")))
        file.truncate(file.tell() + 250_000_000 - 16)
    with pytest.raises(
        InvalidInputError, match="has 250 MB; WaveSpeed Upscale Video takes at most 200"
    ):
        vendor.send(film)
    assert not vendor.fake.requests


def test_a_length_that_nobody_documents_is_left_to_the_service(vendor, film):
    film.write_bytes(mp4(movie(track(64, 48), ticks=700_000)))
    vendor.send(film, model="runwayml/upscale-v1")
    assert len(vendor.fake.tasks) == 1


def test_a_missing_key_sends_nothing(vendor, film, monkeypatch):
    monkeypatch.delenv("WAVESPEED_API_KEY")
    monkeypatch.delenv("WAVESPEED_BASE_URL")
    with pytest.raises(MissingKeyError):
        vendor.send(film)


def test_a_file_that_is_written_meanwhile_is_not_paid(vendor, film):
    film.write_bytes(clip(size=2_000_000))

    def change(x):
        film.write_bytes(clip(9, size=2_000_000))
        x.send(x.behave())

    vendor.fake.faults["ticket"].append(faults.Fault("change", change))
    with pytest.raises(InvalidInputError, match="was changed while it was sent"):
        vendor.send(film)
    assert not vendor.fake.tasks
    assert vendor.send(film)[0] == enlarged(clip(9, size=2_000_000))


# --- faults


@pytest.mark.parametrize("phase", ["ticket", "put", "poll", "download"])
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_passing_faults_cost_nothing(vendor, film, phase, fault):
    vendor.fake.faults[phase].append(fault)
    check_sent_once(vendor, film)


SPOILT = {
    "empty": lambda task, data: (b"", "video/mp4"),
    "a web page": lambda task, data: (b"<html>" + data, "text/html"),
    "a picture": lambda task, data: (b"\x89PNG\r\n\x1a\n" + data, "image/png"),
    "half": lambda task, data: (data[: len(data) // 2], "video/mp4"),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_a_result_that_is_no_video_is_fetched_again_and_put_aside_at_last(vendor, film, spoilt):
    def accept(x):
        x.alter = spoilt
        x.send(x.behave())

    vendor.fake.faults["submit"].append(faults.Fault("spoilt", accept))
    with pytest.raises(BadReplyError, match=r"What WaveSpeed delivered is kept in .*\.rejected"):
        vendor.send(film)
    assert vendor.fake.count("download") == 3
    (aside,) = (home() / "results").glob("*.rejected")
    assert aside.read_bytes() == spoilt(None, enlarged(clip()))[0]
    vendor.fake.tasks[0].alter = None
    check_sent_once(vendor, film)


def test_a_lost_answer_is_found_in_the_list(vendor, film):
    vendor.fake.history = True
    vendor.fake.faults["submit"].append(faults.reset_after_accept())
    check_sent_once(vendor, film)
    assert vendor.fake.count("history") == 1


def test_another_video_of_that_time_is_not_taken_for_ours(vendor, film):
    vendor.fake.history = True
    vendor.send(film)
    vendor.host.client.journal.forget(vendor.rows[0].request)
    film.write_bytes(clip(1))
    vendor.fake.faults["submit"].append(faults.reset_before_accept())
    with pytest.raises(AmbiguousSubmitError, match="was not accepted"):
        vendor.send(film)
    assert vendor.send(film)[0] == enlarged(clip(1))
    assert len(vendor.fake.tasks) == 2


def test_a_lost_answer_without_a_list_is_a_doubt(vendor, film):
    vendor.fake.faults["submit"].append(faults.reset_after_accept())
    with pytest.raises(AmbiguousSubmitError, match="tasks resume"):
        vendor.send(film)
    with pytest.raises(AmbiguousSubmitError):
        vendor.send(film)
    assert vendor.submits() == 1
    vendor.host.client.attach(vendor.rows[0].request, vendor.fake.tasks[0].id)
    check_sent_once(vendor, film)


def test_a_failed_task_names_the_video(vendor, film):
    vendor.fake.faults["poll"].append(faults.failed())
    with pytest.raises(TaskFailedError, match="Change the video or the settings"):
        vendor.send(film)


def test_hours_are_waited_for_though_images_take_minutes(vendor, film):
    configure(task_seconds=600)
    vendor.fake.clock.states = ["processing"]
    asked = len(vendor.fake.requests)
    with pytest.raises(TaskTimeoutError, match=r"in 216[0-3]\d s"):
        vendor.send(film)
    assert len(vendor.fake.requests) - asked < 1000, "who waits for hours asks each half minute"
    vendor.fake.clock.states = None
    assert vendor.send(film)[1].info["tasks"][0]["how"] == "resumed"
    assert len(vendor.fake.tasks) == 1


@pytest.mark.parametrize("phase", ["ticket", "put", "poll", "download"])
def test_a_stop_is_answered_at_once_and_costs_nothing(vendor, film, phase):
    gate = threading.Event()
    film.write_bytes(clip(size=400_000))
    vendor.fake.faults[phase].append(faults.stall(gate, silent=True))
    with pytest.raises(StoppedError):
        vendor.send(film, monitor=Watch(lambda: vendor.fake.count(phase)))
    gate.set()
    wait_until(lambda: not list((home() / "results").glob("*.part")))
    check_sent_once(vendor, film)


# --- kept results


@pytest.mark.parametrize("loss", ["gone", "cut off", "one bit"])
def test_a_lost_file_is_fetched_again_free(vendor, film, loss):
    vendor.send(film)
    (kept,) = (home() / "results").iterdir()
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    kept.write_bytes({"cut off": data[:-9], "one bit": data}.get(loss, b""))
    if loss == "gone":
        kept.unlink()
    assert vendor.send(film)[1].info["tasks"][0]["how"] == "resumed"
    assert vendor.fake.count("download") == 2
    check_sent_once(vendor, film)


def test_a_result_of_another_format_takes_the_place_of_a_damaged_one(vendor, film):
    vendor.send(film)
    vendor.fake.tasks[0].alter = lambda task, data: (matroska(), "video/webm")
    (kept,) = (home() / "results").iterdir()
    kept.write_bytes(b"")
    data, result = vendor.send(film)
    assert (data, result.format) == (matroska(), "webm")
    assert [path.suffix for path in (home() / "results").iterdir()] == [".webm"]


def test_a_kept_video_is_reused_without_the_journal(vendor, film):
    vendor.send(film)
    for path in home().glob("journal.sqlite3*"):
        path.unlink()
    vendor.host = vendor.another()
    assert vendor.send(film)[1].info["tasks"][0]["how"] == "reused"
    assert len(vendor.fake.tasks) == 1


def test_a_forgotten_task_leaves_no_file(vendor, film):
    vendor.send(film)
    vendor.host.client.journal.forget(vendor.rows[0].request)
    assert not list((home() / "results").iterdir())


def test_what_take_raises_keeps_the_result_from_growing_old(vendor, film):
    def take(kept):
        raise OSError

    with pytest.raises(OSError):
        vendor.host.run_video(WaveSpeedUpscaleVideo(), film, take)
    assert vendor.rows[0].undelivered == 1
    vendor.send(film)
    assert vendor.rows[0].undelivered == 0


# --- resuming


def test_a_task_is_resumed_by_its_name_and_by_its_ticket(vendor, film):
    vendor.send(film)
    (row,) = vendor.rows
    for name in (row.request[:12], row.ticket):
        ((data,), result) = vendor.fetch(name)
        assert data == enlarged(clip())
        assert result.info["operation"] == "WaveSpeed Upscale Video"
    assert len(vendor.fake.tasks) == 1


def test_a_task_of_another_machine_is_fetched_by_its_ticket(vendor, film):
    vendor.send(film)
    ticket = vendor.rows[0].ticket
    vendor.host.client.journal.forget(vendor.rows[0].request)
    ((data,), result) = vendor.fetch(ticket, made_by="WaveSpeedUpscaleVideo")
    assert data == enlarged(clip())
    assert result.info["input_size"] == (0, 0)
    assert result.summary.startswith("unknown size -> 64 x 48")


def test_a_video_makes_no_images(vendor, film):
    vendor.send(film)
    request = vendor.rows[0].request
    with pytest.raises(InvalidInputError, match="run WaveSpeed Upscale Video once more") as caught:
        vendor.host.resume(ResumeTask(task_id=request))
    assert f"tasks resume {request} -o OUT.mp4`, which fetches it free" in str(caught.value)
    foreign = ResumeTask(task_id="elsewhere", made_by="WaveSpeedUpscaleVideo")
    with pytest.raises(InvalidInputError, match="--made-by WaveSpeedUpscaleVideo") as caught:
        vendor.host.resume(foreign)
    assert "once more" not in str(caught.value)  # here it would be paid anew
    assert len(vendor.rows) == 1


def test_an_image_makes_no_video(vendor):
    vendor.run("wavespeed")
    with pytest.raises(InvalidInputError, match="is of an image"):
        vendor.fetch(vendor.rows[0].request)


def test_a_task_that_nobody_knows_is_told(vendor):
    with pytest.raises(InvalidInputError, match="knows no task"):
        vendor.fetch("nothing")
    with pytest.raises(TaskLostError):
        vendor.fetch("nothing", made_by="WaveSpeedUpscaleVideo")


# --- memory


CHILD = """
import json, sys
from pathlib import Path
from upscale_bridge.service import Service
from upscale_bridge.vendors import WaveSpeedUpscaleVideo

def peak():  # of this process alone; ru_maxrss begins with that of the parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

small, large = map(Path, sys.argv[1:])
service, found = Service(), []
import hashlib
def take(kept):
    digest = hashlib.sha256()
    with kept.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    found.append(digest.hexdigest())
service.run_video(WaveSpeedUpscaleVideo(), small, take)
before = peak()
service.run_video(WaveSpeedUpscaleVideo(), large, take)
print(json.dumps({"grown": peak() - before, "digest": found[-1], "torch": "torch" in sys.modules}))
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="asks for the peak as Linux has it"
)
def test_a_large_video_is_never_whole_in_memory(tmp_path, film, monkeypatch):
    large = tmp_path / "large.mp4"
    large.write_bytes(clip(2, LARGE))
    with FakeService(key=KEY) as fake:
        environ = {**environment(fake.base_url, KEY), "UPSCALE_BRIDGE_HOME": str(home())}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        command = [sys.executable, "-c", CHILD, str(film), str(large)]
        told = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    assert told["digest"] == hashlib.sha256(enlarged(large.read_bytes())).hexdigest()
    assert told["grown"] < 30e6
    assert not told["torch"]
