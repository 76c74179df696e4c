"""Interrupt and Skip: answered within a second, with an image, and never at the cost of a task."""

import pytest

from tests.fakes import faults
from tests.remote.host import states
from tests.webui.started import (
    KINDS,
    MODEL,
    SENDING,
    differs,
    lanczos,
    part,
    photo,
    title,
)
from upscale_bridge.errors import StoppedError
from upscale_bridge.remote.clock import Clock

AT_ONCE = 10.0
"""Seconds, on a machine that is busy with other things; a stalled request hangs for ever."""
BUTTONS = pytest.mark.parametrize("button", ["interrupted", "skipped"])


def chosen(command):
    return {"enable": True, "operation": KINDS[command].title}


@BUTTONS
@pytest.mark.parametrize(
    ("phase", "job", "command"),
    [
        ("poll", "extras", "novita"),
        ("poll", "task(abc)", "novita-v2"),
        ("poll", "extras", "wavespeed"),
        *(("submit", "extras", command) for command in SENDING),
    ],
)
def test_wait_for_a_service_ends_at_once(vendor, webui, button, phase, job, command):
    service = vendor(states=states(command, running=1000) if phase == "poll" else None)
    service.press(webui, button, phase)
    found = webui.enlarge(title(command), photo(), 2, job)
    assert service.waited() < AT_ONCE
    assert differs(found, lanczos(photo(), 2)) == 0


WAYS = pytest.mark.parametrize(
    "way",
    [
        {"panel": chosen("novita")},
        {"upscale": {"upscaler_1_name": title("novita"), "upscale_by": 2}},
    ],
    ids=["panel", "entry"],
)


@BUTTONS
@WAYS
def test_nothing_is_saved_of_a_stopped_image_and_a_sentence_says_so(vendor, webui, button, way):
    service = vendor(states=states("novita", running=1000))
    service.press(webui, button, "poll")
    assert webui.extras(photo(), **way) == []
    assert service.waited() < AT_ONCE
    (told,) = webui.told
    assert told.startswith("Stopped; nothing was saved. A task that the service has accepted goes")


@BUTTONS
@pytest.mark.parametrize("name", [MODEL, title("novita")])
def test_api_answers_a_stop_with_the_sentence(vendor, webui, button, name):
    """The WebUI has no answer of its own without a picture: it would be an internal error."""
    vendor()
    check = part("host").WebUIMonitor.check

    def pressing(self):
        setattr(webui.state, button, True)
        check(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part("host").WebUIMonitor, "check", pressing)
        with pytest.raises(part("host").UpscaleBridgeError, match="Stopped; nothing was") as caught:
            webui.extras_api(photo(), upscaler_1_name=name, upscale_by=2)
    assert caught.value.status_code == 409
    assert ("billed" in str(caught.value)) is (name != MODEL)
    assert webui.told == []


def test_stop_of_a_generation_is_the_hosts_own_affair(vendor, webui):
    service = vendor(states=states("novita", running=1000))
    service.press(webui, "interrupted", "poll")
    webui.enlarge(title("novita"), photo(), 2)
    assert (webui.told, webui.state.skipped) == ([], False)


def test_stopped_task_is_finished_by_the_next_run(vendor, webui):
    service = vendor(states=states("novita", running=2))
    service.press(webui, "interrupted", "poll")
    webui.extras(photo(), panel=chosen("novita"))
    (done,) = webui.extras(photo(), panel=chosen("novita"))
    assert done.image.size == (48, 32)
    assert service.submits() == 1


@BUTTONS
def test_stopped_task_of_an_entry_is_finished_by_the_next_click(vendor, webui, button):
    """The WebUI would give back what it kept of the click that was stopped."""
    service = vendor(states=states("novita", running=2))
    service.press(webui, button, "poll")
    entry = {"upscaler_1_name": title("novita"), "upscale_by": 2}
    assert webui.extras(photo(), upscale=entry) == []
    (done,) = webui.extras(photo(), upscale=entry)
    assert differs(done.image, lanczos(photo(), 2)) > 0.2
    assert service.submits() == 1


def test_what_the_webui_keeps_is_dropped_after_a_stop_only(vendor, webui):
    service = vendor()
    entry = {"upscaler_1_name": title("novita"), "upscale_by": 2}
    webui.extras(photo(), upscale=entry)
    asked = len(service.fake.requests)
    webui.extras(photo(), upscale=entry)
    assert len(service.fake.requests) == asked


def test_stop_logs_no_error(vendor, webui, caplog):
    service = vendor(states=states("novita", running=1000))
    service.press(webui, "interrupted", "poll")
    webui.enlarge(title("novita"), photo(), 2)
    assert [line for line in caplog.messages if "rror" in line or "Lanczos" in line] == []


@BUTTONS
@pytest.mark.parametrize("name", [MODEL, title("novita")])
def test_nothing_begins_after_a_stop(vendor, webui, button, name):
    service = vendor()
    webui.state.begin("task(abc)")
    setattr(webui.state, button, True)
    entry = webui.entry(name)
    found = entry.scaler.upscale(photo(), 2, entry.data_path)
    assert differs(found, lanczos(photo(), 2)) == 0
    assert service.fake.requests == []


@BUTTONS
def test_run_on_this_machine_ends_within_its_image(webui, button, monkeypatch):
    """The button is pressed while the model computes, which asks ten times a second."""
    monitor, asked = part("host").WebUIMonitor, []
    check = monitor.check

    def pressing(self):
        asked.append(self)
        if len(asked) == 3:
            setattr(webui.state, button, True)
        check(self)

    monkeypatch.setattr(monitor, "check", pressing)
    image = photo(240, 200)
    found = webui.enlarge(MODEL, image, 2)
    assert differs(found, lanczos(image, 2)) == 0
    assert len(asked) < 20
    webui.state.begin("")
    assert differs(webui.enlarge(MODEL, image, 2), lanczos(image, 2)) > 0.2, "the engine is free"


def test_stop_passes_the_translation(webui):
    with pytest.raises(StoppedError), part("host").translated():
        raise StoppedError


def test_interruption_ends_a_batch_of_the_tab(vendor, webui):
    service = vendor(clock=Clock(), seconds=1.0)

    def interrupt(x):
        webui.state.interrupted = True
        x.send(x.behave())

    service.fake.faults["poll"].append(faults.Fault("interrupt", interrupt))
    many = [photo(seed=seed) for seed in range(5)]
    done = webui.extras(*many, panel=chosen("novita"))
    assert done == []
    assert service.submits() == 3, "those that were sent before their turn, and no more"
    done = webui.extras(*many, panel=chosen("novita"))
    assert (len(done), service.submits()) == (5, 5)


def test_skip_goes_on_with_the_next_image(vendor, webui):
    service = vendor()
    webui.opts.set("upscale_bridge_concurrency", 1)
    service.press(webui, "skipped", "poll")
    done = webui.extras(*(photo(seed=seed) for seed in range(2)), panel=chosen("novita"))
    assert [one.image.size for one in done] == [(48, 32)]
    assert service.submits() == 2
